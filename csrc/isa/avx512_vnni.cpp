// AVX512_VNNI beside AVX-512: products of four bytes and of two words.
#define KONV_ISA_LEVEL_NAME avx512_vnni
#define KONV_VEC_BYTES 64
#define KONV_GEMM_ROWS 14
#include "kernels/dots.inl.h"
