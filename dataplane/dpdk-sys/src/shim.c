#include "shim.h"

#include <stdio.h>

#include <rte_log.h>

/* DPDK's libraries and drivers are not compiled for ThreadSanitizer, so it does not see that what one thread did with a packet before it gave
 * it back or sent it comes before what another does that takes or receives it. These tell it, packet by packet, of each segment. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SVPN_THREAD_SANITIZER
#endif
#endif
#ifdef SVPN_THREAD_SANITIZER
void __tsan_acquire(void *object);
void __tsan_release(void *object);

static void given(struct rte_mbuf **mbufs, unsigned int count)
{
	for (unsigned int index = 0; index < count; index++)
		for (struct rte_mbuf *segment = mbufs[index], *next; segment != NULL; segment = next) {
			next = segment->next;
			__tsan_release(segment);
		}
}

static void taken(struct rte_mbuf **mbufs, unsigned int count)
{
	for (unsigned int index = 0; index < count; index++)
		for (struct rte_mbuf *segment = mbufs[index]; segment != NULL; segment = segment->next)
			__tsan_acquire(segment);
}
#else
static inline void given(struct rte_mbuf **mbufs, unsigned int count)
{
	(void)mbufs;
	(void)count;
}

static inline void taken(struct rte_mbuf **mbufs, unsigned int count)
{
	(void)mbufs;
	(void)count;
}
#endif

int svpn_log_to_stderr(void)
{
	return rte_openlog_stream(stderr);
}

int svpn_errno(void)
{
	return rte_errno;
}

unsigned int svpn_lcore_id(void)
{
	return rte_lcore_id();
}

uint64_t svpn_rdtsc(void)
{
	return rte_rdtsc();
}

uint16_t svpn_pktmbuf_data_room_size(struct rte_mempool *pool)
{
	return rte_pktmbuf_data_room_size(pool);
}

struct rte_mbuf *svpn_pktmbuf_alloc(struct rte_mempool *pool)
{
	/* rte_pktmbuf_alloc, with a word between its two steps. */
	struct rte_mbuf *mbuf = rte_mbuf_raw_alloc(pool);

	if (mbuf != NULL) {
		taken(&mbuf, 1);
		rte_pktmbuf_reset(mbuf);
	}
	return mbuf;
}

int svpn_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
#ifdef SVPN_THREAD_SANITIZER
	for (unsigned int taken = 0; taken < count; taken++) {
		mbufs[taken] = svpn_pktmbuf_alloc(pool);
		if (mbufs[taken] == NULL) {
			svpn_pktmbuf_free_bulk(mbufs, taken);
			return -ENOENT;
		}
	}
	return 0;
#else
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
#endif
}

void svpn_pktmbuf_free(struct rte_mbuf *mbuf)
{
#ifdef SVPN_THREAD_SANITIZER
	/* Not instrumented, unlike the inline function: what it reads after the packet is given back is DPDK's. */
	svpn_pktmbuf_free_bulk(&mbuf, 1);
#else
	rte_pktmbuf_free(mbuf);
#endif
}

void svpn_pktmbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count)
{
	given(mbufs, count);
	rte_pktmbuf_free_bulk(mbufs, count);
}

void svpn_mbuf_set_tag(struct rte_mbuf *mbuf, uint64_t tag)
{
	mbuf->hash.fdir.lo = (uint32_t)tag;
	mbuf->hash.fdir.hi = (uint32_t)(tag >> 32);
}

uint64_t svpn_mbuf_tag(const struct rte_mbuf *mbuf)
{
	return (uint64_t)mbuf->hash.fdir.hi << 32 | mbuf->hash.fdir.lo;
}

uint16_t svpn_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	uint16_t received = rte_eth_rx_burst(port, queue, mbufs, count);

	taken(mbufs, received);
	return received;
}

uint16_t svpn_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	given(mbufs, count);
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

unsigned int svpn_ring_sp_enqueue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_ring_sp_enqueue_burst(ring, (void *const *)mbufs, count, NULL);
}

unsigned int svpn_ring_sc_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_ring_sc_dequeue_burst(ring, (void **)mbufs, count, NULL);
}

uint64_t svpn_rcu_qsbr_start(struct rte_rcu_qsbr *domain)
{
	return rte_rcu_qsbr_start(domain);
}

int svpn_rcu_qsbr_check(struct rte_rcu_qsbr *domain, uint64_t token, bool wait)
{
	return rte_rcu_qsbr_check(domain, token, wait);
}

void svpn_rcu_qsbr_quiescent(struct rte_rcu_qsbr *domain, unsigned int thread)
{
	rte_rcu_qsbr_quiescent(domain, thread);
}

void svpn_rcu_qsbr_thread_online(struct rte_rcu_qsbr *domain, unsigned int thread)
{
	rte_rcu_qsbr_thread_online(domain, thread);
}

void svpn_rcu_qsbr_thread_offline(struct rte_rcu_qsbr *domain, unsigned int thread)
{
	rte_rcu_qsbr_thread_offline(domain, thread);
}
