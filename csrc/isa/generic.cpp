// Baseline of the target: SSE2 on x86-64, NEON on AArch64.
#define KONV_ISA_LEVEL_NAME generic
#define KONV_VEC_BYTES 16
#if defined(__aarch64__)
#  define KONV_GEMM_ROWS 12
#else
#  define KONV_GEMM_ROWS 6
#endif
#include "kernels/kernels.inl.h"
