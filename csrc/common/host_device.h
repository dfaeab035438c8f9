// Text that compiles for the host and for CUDA devices: what a kernel's program is written in, so that it runs without a GPU in tests.
//
// A program is a struct that is called with a team, the shared memory of its block, the number of the block and how many there are.
// A team is the threads of a block: rank and size, lane and row (rank seen as rows of lanes), a barrier, and atomic addition.
#pragma once

#if defined(__CUDACC__)
#define UDSPH_HD __host__ __device__
#else
#define UDSPH_HD
#endif

#if defined(__CUDA_ARCH__)
#define UDSPH_UNROLL _Pragma("unroll")
#else
#define UDSPH_UNROLL
#endif
