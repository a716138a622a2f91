#define _GNU_SOURCE
#include "operations.h"

#include <stdio.h>
#include <sys/types.h>

#include <rte_log.h>

/* A cookie of a stream is a pointer to an object, which a function pointer is not. */
static svpn_log_writer log_writer;

static ssize_t write_log(void *cookie, const char *text, size_t length)
{
	svpn_log_writer writer = *(svpn_log_writer *)cookie;
	int level = rte_log_cur_msg_loglevel();

	writer(level > 0 ? (uint32_t)level : RTE_LOG_INFO, text, length);
	return (ssize_t)length;
}

int svpn_log_to(svpn_log_writer writer)
{
	cookie_io_functions_t functions = { .write = write_log };
	FILE *stream;

	log_writer = writer;
	stream = fopencookie(&log_writer, "w", functions);
	if (stream == NULL || setvbuf(stream, NULL, _IOLBF, 0) != 0)
		return -1;
	return rte_openlog_stream(stream);
}

uint32_t svpn_mempool_size(const struct rte_mempool *pool)
{
	return pool->size;
}
