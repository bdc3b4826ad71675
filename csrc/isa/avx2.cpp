// AVX2 + FMA + F16C: 16 registers of 32 bytes.
#define KONV_ISA_LEVEL_NAME avx2
#define KONV_VEC_BYTES 32
#define KONV_GEMM_ROWS 6
#include "kernels/kernels.inl.h"
