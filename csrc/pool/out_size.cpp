#include "pool/pool.h"

namespace konv {

int64_t pool_out_size(int64_t in, int64_t pad, int64_t pad_after, int64_t extent, int64_t stride, bool ceil_mode) {
  const int64_t room = in + pad + pad_after - extent + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int64_t out = room / stride + 1;
  return ceil_mode && (out - 1) * stride >= in + pad ? out - 1 : out;
}

}  // namespace konv
