#include "cuda/tests/primitives.h"

#include <cmath>
#include <cstring>
#include <functional>

#include "cuda/device.h"
#include "cuda/numbers.h"
#include "cuda/runtime.h"

namespace konv::cuda {

namespace {

#if defined(KONV_CUDA_SIMULATOR)
constexpr bool kSimulated = true;
#else
constexpr bool kSimulated = false;
#endif
constexpr int kFloats = 1 << 15;

// What kernels read and write.
struct Data {
  float* in;
  float* out;
};

// Runs a kernel on host arrays.
template <auto Kernel>
std::vector<float> run(const std::vector<float>& in, Dim grid, Dim block, int64_t shared) {
  const Queue queue{};
  const Memory a(queue, kFloats * 4), b(queue, kFloats * 4);
  copy_to_device(queue, a.data(), in.data(), int64_t(in.size()) * 4);
  launch<Kernel>(queue, "primitive", grid, block, shared,
                 Data{reinterpret_cast<float*>(a.data()), reinterpret_cast<float*>(b.data())});
  std::vector<float> out(kFloats);
  copy_to_host(queue, out.data(), b.data(), kFloats * 4);
  return out;
}

std::vector<float> numbers() {
  std::vector<float> v(kFloats);
  uint32_t state = 1;
  for (float& x : v) state = state * 1664525u + 1013904223u, x = float(int32_t(state >> 8) % 2001 - 1000) / 512;
  return v;
}

std::string compare(const std::vector<float>& out, const std::vector<float>& expected, float tolerance = 0) {
  for (size_t i = 0; i < expected.size(); i++)
    if (!(std::fabs(out[i] - expected[i]) <= tolerance))
      return "element " + std::to_string(i) + " is " + std::to_string(out[i]) + " instead of " +
             std::to_string(expected[i]);
  return "";
}

// Each thread takes what its neighbour put into shared memory, twice.
__global__ void barrier_kernel(Data d) {
  float* shared = reinterpret_cast<float*>(shared_memory());
  const int t = int(threadIdx.x), n = int(blockDim.x), base = int(blockIdx.x) * n;
  shared[t] = d.in[base + t];
  __syncthreads();
  const float next = shared[(t + 1) % n];
  __syncthreads();
  shared[t] = 2 * next;
  __syncthreads();
  d.out[base + t] = shared[(t + n - 1) % n];
}
std::string check_barrier() {
  const std::vector<float> in = numbers();
  std::vector<float> expected(in.begin(), in.begin() + 512);
  for (float& x : expected) x *= 2;
  return compare(run<barrier_kernel>(in, {4}, {128}, 512), expected);
}

// Two groups of copies: the older one is there, odd threads ask for zeros.
template <int Bytes>
__global__ void copy_kernel(Data d) {
  constexpr int kCount = Bytes / 4;
  float* shared = reinterpret_cast<float*>(shared_memory());
  const int t = int(threadIdx.x);
  copy_async<Bytes>(shared + t * kCount, d.in + t * kCount, t % 2 == 0);
  commit_copies();
  copy_async<Bytes>(shared + (64 + t) * kCount, d.in + (64 + t) * kCount);
  commit_copies();
  wait_copies<1>();
  __syncthreads();
  for (int i = 0; i < kCount; i++) d.out[t * kCount + i] = shared[(63 - t) * kCount + i];
  wait_copies<0>();
  __syncthreads();
  for (int i = 0; i < kCount; i++) d.out[(64 + t) * kCount + i] = shared[(64 + 63 - t) * kCount + i];
}
template <int Bytes>
std::string check_copy() {
  constexpr int kCount = Bytes / 4;
  const std::vector<float> in = numbers();
  std::vector<float> expected(128 * kCount);
  for (int t = 0; t < 64; t++)
    for (int i = 0; i < kCount; i++) {
      expected[size_t(t * kCount + i)] = (63 - t) % 2 ? 0 : in[size_t((63 - t) * kCount + i)];
      expected[size_t((64 + t) * kCount + i)] = in[size_t((64 + 63 - t) * kCount + i)];
    }
  return compare(run<copy_kernel<Bytes>>(in, {1}, {64}, 128 * Bytes), expected);
}

// A 16x16 tile of A and an 8x16 one of B transposed, through ldmatrix and mma.
template <class T>
__global__ void mma_kernel(Data d) {
  T* a = reinterpret_cast<T*>(shared_memory());  // [16][16]
  T* b = a + 256;                                // [k 16][n 16]
  const int lane = int(threadIdx.x) % kWarp;
  for (int i = lane; i < 256; i += kWarp) a[i] = narrowed<T>(d.in[i]), b[i] = narrowed<T>(d.in[256 + i]);
  __syncwarp();
  uint32_t fa[4], fb[4];
  // Matrices 0 to 3 of A: rows 0, rows 8, rows 0 of columns 8, rows 8 of columns 8.
  load_matrices(fa, a + (lane % 16) * 16 + lane / 16 * 8);
  // Of B, transposed on the way: k 0 and 8 of columns 0, then of columns 8.
  load_matrices_transposed(fb, b + (lane % 16) * 16 + lane / 16 * 8);
  float sums[2][4];
  for (int half = 0; half < 2; half++) {
    for (int r = 0; r < 4; r++) sums[half][r] = 1;
    const uint32_t pair[2] = {fb[half * 2], fb[half * 2 + 1]};
    multiply_add(sums[half], fa, pair, T());
    for (int r = 0; r < 4; r++) d.out[(lane / 4 + r / 2 * 8) * 16 + half * 8 + lane % 4 * 2 + r % 2] = sums[half][r];
  }
}
template <class T>
std::string check_mma() {
  std::vector<float> in = numbers();
  for (int i = 0; i < 512; i++) in[size_t(i)] = std::round(in[size_t(i)] * 16) / 16;  // exact in 16 bits
  std::vector<float> expected(256, 1);
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++)
      for (int k = 0; k < 16; k++)
        expected[size_t(i * 16 + j)] += in[size_t(i * 16 + k)] * in[size_t(256 + k * 16 + j)];
  return compare(run<mma_kernel<T>>(in, {1}, {32}, 1024), expected, 1e-4f);
}

__global__ void tf32_kernel(Data d) {
  const int lane = int(threadIdx.x), g = lane / 4, t = lane % 4;
  const auto a = [&](int i, int k) { return to_tf32(d.in[i * 8 + k]); };
  const auto b = [&](int k, int j) { return to_tf32(d.in[256 + k * 8 + j]); };
  const uint32_t fa[4] = {a(g, t), a(g + 8, t), a(g, t + 4), a(g + 8, t + 4)}, fb[2] = {b(t, g), b(t + 4, g)};
  float sums[4] = {1, 1, 1, 1};
  multiply_add_tf32(sums, fa, fb);
  for (int r = 0; r < 4; r++) d.out[(g + r / 2 * 8) * 8 + t * 2 + r % 2] = sums[r];
}
std::string check_tf32() {
  const std::vector<float> in = numbers();
  std::vector<float> expected(128, 1);
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 8; j++)
      for (int k = 0; k < 8; k++) expected[size_t(i * 8 + j)] += in[size_t(i * 8 + k)] * in[size_t(256 + k * 8 + j)];
  return compare(run<tf32_kernel>(in, {1}, {32}, 0), expected, 0.05f);
}

// Two warpgroups, each 64 of A's 128 rows by all N rows of B, of 64 numbers: four products, of which one stays in
// flight over a wait.
constexpr int kInner = 64, kWarpgroup = 4 * kWarp;

template <class T, int N>
__global__ void warpgroup_kernel(Data d) {
#if KONV_WARPGROUPS
  T* a = reinterpret_cast<T*>(shared_memory());
  T* b = a + 128 * kInner;
  // Chunk c of eight numbers of row r is at c ^ (r % 8).
  for (int i = int(threadIdx.x); i < (128 + N) * kInner; i += 2 * kWarpgroup) {
    const int row = i / kInner, k = i % kInner;
    a[row * kInner + ((k / 8) ^ (row % 8)) * 8 + k % 8] = narrowed<T>(d.in[i]);
  }
  show_copies();
  __syncthreads();
  const int group = int(threadIdx.x) / kWarpgroup;
  const uint64_t at_a = matrix_descriptor(a + group * 64 * kInner), at_b = matrix_descriptor(b);
  float sums[N / 2];
#  pragma unroll
  for (int r = 0; r < N / 2; r++) sums[r] = 1, hold_register(sums[r]);
#  pragma unroll
  for (int step = 0; step < kInner / 16; step++) {
    begin_products();
    multiply_warpgroup(sums, at_a + uint64_t(2 * step), at_b + uint64_t(2 * step), T());
    commit_products();
    if (step == 2) wait_products<1>();
  }
  wait_products<0>();
#  pragma unroll
  for (int r = 0; r < N / 2; r++) hold_register(sums[r]);
  const int lane = int(threadIdx.x) % kWarp, row = int(threadIdx.x) / kWarp * 16 + lane / 4;
#  pragma unroll
  for (int r = 0; r < N / 2; r++) d.out[(row + r / 2 % 2 * 8) * N + r / 4 * 8 + lane % 4 * 2 + r % 2] = sums[r];
#endif
}
template <class T, int N>
std::string check_warpgroup() {
  const DeviceInfo& device = device_info(0);
  if (!kSimulated && (device.major != 9 || device.minor != 0)) return "";  // has none
  std::vector<float> in = numbers();
  for (float& x : in) x = std::round(x * 16) / 16;  // exact in 16 bits
  std::vector<float> expected(size_t(128 * N), 1);
  for (int i = 0; i < 128; i++)
    for (int j = 0; j < N; j++)
      for (int k = 0; k < kInner; k++)
        expected[size_t(i * N + j)] += in[size_t(i * kInner + k)] * in[size_t((128 + j) * kInner + k)];
  return compare(run<warpgroup_kernel<T, N>>(in, {1}, {2 * kWarpgroup}, (128 + N) * kInner * 2), expected, 1e-4f);
}

__global__ void shuffle_kernel(Data d) {
  const int t = int(threadIdx.x);
  float sum = d.in[t];
  for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
  d.out[t] = sum;
  d.out[64 + t] = shuffle_down(d.in[t], 5);
  d.out[128 + t] = shuffle(d.in[t], 7);
}
std::string check_shuffle() {
  const std::vector<float> in = numbers();
  const std::vector<float> out = run<shuffle_kernel>(in, {1}, {64}, 0);
  std::vector<float> expected(192);
  for (int t = 0; t < 64; t++) {
    for (int l = 0; l < 32; l++) expected[size_t(t)] += in[size_t(t / 32 * 32 + l)];
    expected[size_t(64 + t)] = in[size_t(t % 32 + 5 < 32 ? t + 5 : t)];
    expected[size_t(128 + t)] = in[size_t(t / 32 * 32 + 7)];
  }
  return compare(out, expected, 1e-4f);
}

template <class T>
__global__ void number_kernel(Data d) {
  using Pair = Vector<float, 2>;
  const Pair v = load_vector<Pair>(d.in + 2 * threadIdx.x);
  store_vector(d.out + 2 * threadIdx.x, Pair{{widened(narrowed<T>(v.at[0])), widened(narrowed<T>(v.at[1]))}});
}
template <class T>
std::string check_numbers(int fraction_bits) {
  const std::vector<float> in = numbers();
  const std::vector<float> out = run<number_kernel<T>>(in, {1}, {256}, 0);
  for (size_t i = 0; i < 512; i++) {
    const float step = in[i] == 0 ? 0 : std::ldexp(1.0f, std::ilogb(in[i]) - fraction_bits);
    const float expected = step == 0 ? 0 : std::nearbyint(in[i] / step) * step;
    if (out[i] != expected) return std::to_string(in[i]) + " became " + std::to_string(out[i]);
  }
  return "";
}

// Threads that return early are not waited for; those that wait for nobody are found.
__global__ void leaving_kernel(Data d) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  d.out[threadIdx.x] = 1;
}
std::string check_leaving() { return compare(run<leaving_kernel>(numbers(), {1}, {64}, 0), std::vector<float>(40, 1)); }

#if defined(KONV_CUDA_SIMULATOR)

// What was asked for is not there before a wait: poison shows.
__global__ void early_kernel(Data d) {
  float* shared = reinterpret_cast<float*>(shared_memory());
  copy_async<4>(shared + threadIdx.x, d.in + threadIdx.x);
  commit_copies();
  d.out[threadIdx.x] = shared[threadIdx.x] != shared[threadIdx.x] ? 1.0f : 0.0f;
}
std::string check_early() { return compare(run<early_kernel>(numbers(), {1}, {32}, 128), std::vector<float>(32, 1)); }

__global__ void diverging_kernel(Data d) {
  if (threadIdx.x < 3) __syncwarp();
  __syncthreads();
  d.out[threadIdx.x] = 1;
}
std::string check_diverging() {
  try {
    run<diverging_kernel>(numbers(), {1}, {64}, 0);
  } catch (const Failure& e) {
    return std::strstr(e.what(), "wait where others") ? "" : e.what();
  }
  return "nobody noticed";
}

#endif

struct Check {
  const char* name;
  std::function<std::string()> run;
};
const std::vector<Check>& checks() {
  static const std::vector<Check> all = {
      {"barrier", check_barrier},
      {"copy_async_4", check_copy<4>},
      {"copy_async_8", check_copy<8>},
      {"copy_async_16", check_copy<16>},
      {"multiply_add_float16", check_mma<float16>},
      {"multiply_add_bfloat16", check_mma<bfloat16>},
      {"multiply_add_tf32", check_tf32},
      {"multiply_warpgroup_float16_128", check_warpgroup<float16, 128>},
      {"multiply_warpgroup_float16_256", check_warpgroup<float16, 256>},
      {"multiply_warpgroup_bfloat16_128", check_warpgroup<bfloat16, 128>},
      {"multiply_warpgroup_bfloat16_256", check_warpgroup<bfloat16, 256>},
      {"shuffles", check_shuffle},
      {"float16", [] { return check_numbers<float16>(10); }},
      {"bfloat16", [] { return check_numbers<bfloat16>(7); }},
      {"threads_that_return", check_leaving},
#if defined(KONV_CUDA_SIMULATOR)
      {"copy_before_wait", check_early},
      {"threads_that_diverge", check_diverging},
#endif
  };
  return all;
}

}  // namespace

std::vector<std::string> primitives() {
  std::vector<std::string> names;
  for (const Check& c : checks()) names.push_back(c.name);
  return names;
}

std::string check_primitive(const std::string& name) {
  for (const Check& c : checks())
    if (name == c.name) return c.run();
  return "there is no such primitive";
}

}  // namespace konv::cuda
