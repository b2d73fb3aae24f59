/* How Python calls the kernels. */
#include "kernels.h"

int kernels_version(void) { return KERNELS_VERSION; }

/* Calls kernels in turn. From Python each call takes some microseconds more, as the products between them leave nothing of
 * the interpreter in the caches. */
void run_calls(const Call *calls, Count count) {
    for (const Call *call = calls; call < calls + count; call++) call->kernel(call->given, call->rows, call->threads);
}
