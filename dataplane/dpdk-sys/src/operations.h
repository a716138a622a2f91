/* What an operator's tools need: log, telemetry, capture, and lcores that the EAL makes. */
#ifndef SVPN_DPDK_OPERATIONS_H
#define SVPN_DPDK_OPERATIONS_H

#include <stddef.h>
#include <stdint.h>

#include <rte_launch.h>
#include <rte_mempool.h>
#include <rte_pdump.h>
#include <rte_telemetry.h>
#include <rte_version.h>

/* Gets whole lines of the log, without a NUL: the level is one of RTE_LOG_*. Called by whichever thread logs. */
typedef void (*svpn_log_writer)(uint32_t level, const char *text, size_t length);

/* Sends the EAL's and the drivers' log to `writer`, for the rest of the process. -1 if there is no memory for it. */
int svpn_log_to(svpn_log_writer writer);

/* Objects of a pool, free or not. */
uint32_t svpn_mempool_size(const struct rte_mempool *pool);

#endif
