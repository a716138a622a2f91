/* What svpn-dpdk-sys binds, and callable names for what DPDK offers only as static inline.
 * Each svpn_X does exactly what rte_X does; its contract is that of rte_X. */
#ifndef SVPN_DPDK_SHIM_H
#define SVPN_DPDK_SHIM_H

#include <stdbool.h>
#include <stdint.h>

/* Of the two forms in which DPDK has its rings, the one in C11 atomics: a compiler, and ThreadSanitizer, know what those order.
 * On x86 it is the same instructions. */
#define RTE_USE_C11_MEM_MODEL

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

/* Sends the EAL's and the drivers' log to standard error instead of standard output and syslog. */
int svpn_log_to_stderr(void);

int svpn_errno(void);
unsigned int svpn_lcore_id(void);
uint64_t svpn_rdtsc(void);

/* DPDK defines these by expressions that bindgen does not read. */
static const uint64_t SVPN_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t SVPN_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t SVPN_RSS_FIVE_TUPLE =
	RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
static const uint64_t SVPN_RSS_LABELS = RTE_ETH_RSS_MPLS;
static const uint64_t SVPN_RSS_INNERMOST = RTE_ETH_RSS_LEVEL_INNERMOST;
static const uint32_t SVPN_MEMPOOL_NAME_SIZE = RTE_MEMPOOL_NAMESIZE;

uint16_t svpn_pktmbuf_data_room_size(struct rte_mempool *pool);
struct rte_mbuf *svpn_pktmbuf_alloc(struct rte_mempool *pool);
int svpn_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void svpn_pktmbuf_free(struct rte_mbuf *mbuf);
void svpn_pktmbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count);

/* The 64 bits that rte_mbuf keeps for a hash, or for whatever the mbuf's owner likes. */
void svpn_mbuf_set_tag(struct rte_mbuf *mbuf, uint64_t tag);
uint64_t svpn_mbuf_tag(const struct rte_mbuf *mbuf);

uint16_t svpn_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t svpn_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

/* For one producer and one consumer. */
unsigned int svpn_ring_sp_enqueue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count);
unsigned int svpn_ring_sc_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count);

uint64_t svpn_rcu_qsbr_start(struct rte_rcu_qsbr *domain);
int svpn_rcu_qsbr_check(struct rte_rcu_qsbr *domain, uint64_t token, bool wait);
void svpn_rcu_qsbr_quiescent(struct rte_rcu_qsbr *domain, unsigned int thread);
void svpn_rcu_qsbr_thread_online(struct rte_rcu_qsbr *domain, unsigned int thread);
void svpn_rcu_qsbr_thread_offline(struct rte_rcu_qsbr *domain, unsigned int thread);

#endif
