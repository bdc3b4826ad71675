// AVX-512 F, CD, VL, DQ, BW: 32 registers of 64 bytes.
#define KONV_ISA_LEVEL_NAME avx512
#define KONV_VEC_BYTES 64
#define KONV_GEMM_ROWS 14
#include "kernels/kernels.inl.h"
