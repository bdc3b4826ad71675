// AVX512_BF16 beside AVX-512: products of pairs of bfloat16.
#define KONV_ISA_LEVEL_NAME avx512_bf16
#define KONV_VEC_BYTES 64
#define KONV_GEMM_ROWS 14
#include "kernels/pairs.inl.h"
