// KONV_EXPORT_KERNELS(type, value): the one symbol of an ISA object, konv_kernels_<level>; KONV_EXPORT_KERNELS_PART
// makes konv_kernels_<level>_<part>.
#pragma once

#define KONV_JOIN_(a, b) a##b
#define KONV_JOIN(a, b) KONV_JOIN_(a, b)
#define KONV_EXPORT_AS(name, type, ...) \
  extern const type name;               \
  constexpr type name = __VA_ARGS__;
#define KONV_EXPORT_KERNELS(type, ...) KONV_EXPORT_AS(KONV_JOIN(konv_kernels_, KONV_ISA_LEVEL_NAME), type, __VA_ARGS__)
#define KONV_EXPORT_KERNELS_PART(part, type, ...) \
  KONV_EXPORT_AS(KONV_JOIN(KONV_JOIN(konv_kernels_, KONV_ISA_LEVEL_NAME), _##part), type, __VA_ARGS__)
