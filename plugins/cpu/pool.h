// Threads that sleep until there is work. Waiting costs no processor time.

#pragma once

#include <cstdint>

extern "C" {
struct SpairPool;

// Calls work(context, i) once for each i below count, on the pool's threads and on the caller's. A caller that finds the
// pool busy with another caller's work does its own alone. Results do not depend on which thread does what.
void spair_pool_run(SpairPool* pool, int64_t count, void (*work)(void*, int64_t), void* context);
}

namespace SPAIR_SET {

template <class Work>
void in_parallel(SpairPool* pool, int64_t count, Work work) {
    spair_pool_run(pool, count, [](void* context, int64_t i) { (*static_cast<Work*>(context))(i); }, &work);
}

}  // namespace SPAIR_SET
