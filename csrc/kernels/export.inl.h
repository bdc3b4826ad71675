// KONV_EXPORT_KERNELS(type, value): the one symbol of an ISA object, konv_kernels_<level>.
#pragma once

#define KONV_JOIN_(a, b) a##b
#define KONV_JOIN(a, b) KONV_JOIN_(a, b)
#define KONV_EXPORT_KERNELS(type, ...)                             \
  extern const type KONV_JOIN(konv_kernels_, KONV_ISA_LEVEL_NAME); \
  constexpr type KONV_JOIN(konv_kernels_, KONV_ISA_LEVEL_NAME) = __VA_ARGS__;
