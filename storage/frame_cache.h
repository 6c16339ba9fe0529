// FrameCache: frames of segments, read when they are needed, and the last used of them kept.
//
// A frame is read whole and checked each time it is read, so nothing that comes from here was damaged on its way. What
// is kept stays within a bound; what a call still holds does not count. Calls that wait for the same frame share one
// read.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/async_lock.h"
#include "core/base/effect.h"
#include "core/base/task.h"
#include "storage/rows.h"

namespace nearfield {

// A frame that was read: rows where they lie in its bytes.
class RowFrame {
 public:
  // Fails with kFormatError, or kVersionError, where the bytes are not the frame of that place.
  static Result<std::shared_ptr<const RowFrame>> read(uint64_t collection, const FramePlace& place, ByteView bytes);

  const RowColumns& columns() const { return columns_; }
  size_t bytes() const { return bytes_.size(); }

 private:
  Bytes bytes_;
  RowColumns columns_;
};

using RowFrames = std::vector<std::shared_ptr<const RowFrame>>;

class FrameCache {
 public:
  // Whether the caller expects to want the frame again soon. One that is wanted once is kept only where there is room.
  enum class Use { kOnce, kAgain };

  // `effects` must outlive it.
  FrameCache(EffectQueue& effects, size_t limit) : effects_(effects), limit_(limit) {}

  size_t limit() const { return limit_; }
  // What is kept, at most limit().
  size_t bytes() const { return bytes_; }

  // True where load() would not have to wait for the host.
  bool holds(const FramePlace& place) const;
  // Frames that lie one behind the other in a file of that collection, as one read. Fails with kNotFound where the file
  // is not there, kStorageCorrupt, naming it, where a frame does not check out, and what the host answers.
  Task<Result<RowFrames>> load(uint64_t collection, std::vector<FramePlace> places, Use use);

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // file, offset
  struct Kept {
    Key key;
    uint64_t checksum;
    std::shared_ptr<const RowFrame> frame;
  };
  struct Reading {
    AsyncLock turn;
    RowFrames frames;
  };

  Task<Result<RowFrames>> read(uint64_t collection, const std::vector<FramePlace>& places);
  std::shared_ptr<const RowFrame> find(const FramePlace& place);
  void keep(const FramePlace& place, const std::shared_ptr<const RowFrame>& frame, Use use);
  void drop(std::list<Kept>::iterator kept);

  EffectQueue& effects_;
  size_t limit_;
  size_t bytes_ = 0;
  std::list<Kept> kept_;  // the last used first
  std::map<Key, std::list<Kept>::iterator> index_;
  std::map<Key, std::weak_ptr<Reading>> reading_;  // by the first frame
};

}  // namespace nearfield
