// Operands as the kernels of implicit_gemm.h want them: channels last in whole vectors, read where they lie if they are
// so already; weights by output channel, the inner dimension in whole steps.
#pragma once
#include "conv/tap_conv.h"
#include "cuda/conv/implicit_gemm.h"

namespace konv::cuda {

// An image tensor of (n, groups x channels, size), strides in elements.
struct ImageTensor {
  int64_t n, groups, channels, size[3];  // channels of one group
  int64_t n_stride, c_stride, stride[3];
};

class ChannelsLast {
 public:
  ChannelsLast(const ImageTensor& tensor, int item, int vector_bytes);

  // Whether offsets within it fit the kernels' 32 bits.
  bool fits() const { return last_ - first_ < (int64_t(1) << 30); }
  const PixelVectors& pixels() const { return pixels_; }
  // Of the scratch that `on` takes.
  int64_t bytes() const { return copied_ ? count_ * vector_bytes_ : 0; }
  // The operand of this memory: itself, or a copy in `scratch`; where the memory is not aligned to 16 bytes a copy in
  // `moved`, which then is allocated.
  const char* on(Queue queue, const void* data, char* scratch, Memory& moved) const;

 private:
  ImageTensor tensor_;
  int item_, vector_bytes_;
  bool copied_;
  int64_t count_;         // vectors of the copy
  int64_t first_, last_;  // vectors that are read, from the operand's address
  PixelVectors pixels_;
};

// The taps of a problem, of which there may be none.
TapGrid tap_grid(const TapProblem& p);
// All taps of the kernel, whatever they see.
TapGrid all_taps(const ConvProblem& p);

// Entries for `count` vectors: those of the taps' channels, then such that lie nowhere.
void write_table(Queue queue, const TapGrid& taps, const PixelVectors& pixels, int count, TapVector* table);

// Weights of (groups x outputs, channels, taps) as rows of `pitch` bytes: tap after tap, channels padded to
// `padded_channels` with zeros, zeros after the last tap. float32 is rounded to tf32 where `rounds`.
struct PackedWeights {
  const void* from;
  void* to;
  TapGrid taps;
  int64_t w_group, w_output, w_channel;  // elements
  int groups, outputs, channels, padded_channels;
  int64_t pitch;
};
void pack_weights(Queue queue, int item, bool rounds, const PackedWeights& weights);

}  // namespace konv::cuda
