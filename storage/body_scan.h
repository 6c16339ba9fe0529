// BodyScan: walks over rows of a collection with everything they hold, wherever it is: in memory or in segments.
//
//   BodyScan scan(now, cache, live, rows, use);
//   for (;;) {
//     CO_ASSIGN_OR_RETURN(const BodyScan::Step step, scan.next());
//     if (step == BodyScan::Step::kEnd) break;
//     if (step == BodyScan::Step::kWait) {
//       co_await scan.arrival();
//       continue;
//     }
//     scan.for_each([&](RowId row, const Body& body) { ... });
//   }
//
// Rows come in ascending order, a frame at a time; the next frames are on their way meanwhile. Whatever happens to the
// database between two steps, each row comes as it was written: a row's number means the same row until the collection
// is compacted, cleared, dropped or loaded anew, and then the scan fails with kConflict.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/frame_cache.h"
#include "storage/recovery.h"

namespace nearfield {

// Views stay valid during the visit.
struct Body {
  std::string_view id, text, payload;
  Elements<float> vector;  // empty: none

  // REQUIRES: `vector` has its components where the row has any; the view points to it.
  RowView view(std::vector<float>& components) const {
    components.resize(vector.size());
    vector.copy_to(components);
    return {id, text, payload, components};
  }
};

class BodyScan {
 public:
  // `now` and `cache` must outlive it. REQUIRES: rows.size() <= live.memory.row_count().
  BodyScan(Recovered& now, FrameCache& cache, const LiveCollection& live, RowSet rows, FrameCache::Use use)
      : now_(now), cache_(cache), name_(live.memory.name()), era_(live.era), rows_(std::move(rows)), use_(use) {}

  // Goes on to the next rows: they are here, or have to be waited for, or there are none. Not a coroutine: where all is
  // at hand a scan takes thousands of steps, and compiled to WebAssembly each await that does not wait deepens the
  // stack. Fails with kConflict as above, kStorageCorrupt where a file is damaged or missing, and with what the host
  // answers.
  enum class Step { kRows, kWait, kEnd };
  Result<Step> next();
  // REQUIRES: next() answered kWait.
  Task<Status> arrival();
  // REQUIRES: next() answered kRows, and nothing was awaited since.
  template <typename Visit>
  void for_each(Visit visit) {
    const LiveCollection& live = *current();
    size_t component = 0;
    for (RowId row = begin_; row < end_; ++row) {
      const size_t i = row - begin_;
      const size_t components =
          frame_ != nullptr && frame_->columns().has_vector(i) ? live.memory.schema().dimension : 0;
      if (row >= position_ && rows_.contains(row)) visit(row, body(live, row, i, component, components));
      component += components;
    }
    position_ = end_;
  }

 private:
  struct Ask {
    std::vector<StoredFrame> frames;
    uint64_t places;  // LiveCollection::places_changed, when it was asked
    Task<Result<RowFrames>> task;
    std::optional<Result<RowFrames>> answer;
  };

  LiveCollection* current() const;
  void ask_ahead(const LiveCollection& live);
  Body body(const LiveCollection& live, RowId row, size_t i, size_t component, size_t components) const;

  Recovered& now_;
  FrameCache& cache_;
  std::string name_;
  std::shared_ptr<const Era> era_;
  RowSet rows_;
  FrameCache::Use use_;
  RowId position_ = 0;                                                  // rows before it were visited
  RowId asked_to_ = 0;                                                  // rows before it were asked for
  std::deque<Ask> asked_;                                               // not yet waited for
  std::deque<std::pair<RowId, std::shared_ptr<const RowFrame>>> here_;  // first row, frame
  // The piece to visit: rows of `frame_`, or resident ones where it is null.
  std::shared_ptr<const RowFrame> frame_;
  RowId begin_ = 0;
  RowId end_ = 0;
};

}  // namespace nearfield
