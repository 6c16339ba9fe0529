#include "storage/body_scan.h"

#include <algorithm>

namespace nearfield {

namespace {

// Neighbouring frames are read together up to this size: less, and the host's cost of a read counts; more, and memory.
constexpr uint64_t kReadTogetherBytes = 512 << 10;
constexpr size_t kReadsAhead = 3;
// Resident rows a step, so that whoever writes them down can close a file in between.
constexpr RowId kResidentRows = 64;

}  // namespace

LiveCollection* BodyScan::current() const {
  const auto found = now_.collections.find(name_);
  return found != now_.collections.end() && found->second->era == era_ ? found->second.get() : nullptr;
}

void BodyScan::ask_ahead(const LiveCollection& live) {
  asked_to_ = std::max(asked_to_, position_);
  while (asked_.size() < kReadsAhead) {
    std::vector<StoredFrame> frames;
    std::vector<FramePlace> places;
    uint64_t bytes = 0;
    for (;;) {
      const RowId row = rows_.next(asked_to_);
      if (row >= rows_.size() || row >= live.memory.first_resident()) break;
      const StoredFrame& found = live.frame_of(row);
      const bool kept = cache_.holds(found.place);
      if (!places.empty()) {
        const FramePlace& last = places.back();
        const bool neighbour = last.file == found.place.file && last.offset + last.bytes == found.place.offset;
        if (kept || !neighbour || bytes + found.place.bytes > kReadTogetherBytes) break;
      }
      frames.push_back(found);
      places.push_back(found.place);
      bytes += found.place.bytes;
      asked_to_ = found.first + found.place.rows;
      if (kept) break;
    }
    if (frames.empty()) return;
    Task<Result<RowFrames>> task = cache_.load(live.number, std::move(places), use_);
    task.start();
    asked_.push_back({std::move(frames), live.places_changed, std::move(task), {}});
  }
}

Task<Status> BodyScan::arrival() {
  Ask& first = asked_.front();
  first.answer = co_await first.task.finished();
  co_return Status();
}

Result<BodyScan::Step> BodyScan::next() {
  for (;;) {
    const LiveCollection* live = current();
    if (live == nullptr) {
      return Error{Code::kConflict, "the collection " + shown(name_) + " was rewritten meanwhile", shown(name_)};
    }
    frame_ = nullptr;
    position_ = rows_.next(position_);
    if (position_ >= rows_.size()) return Step::kEnd;
    if (position_ >= live->memory.first_resident()) {
      begin_ = position_;
      end_ = std::min<RowId>(begin_ + kResidentRows, static_cast<RowId>(rows_.size()));
      return Step::kRows;
    }
    if (!here_.empty()) {
      begin_ = here_.front().first;
      frame_ = std::move(here_.front().second);
      here_.pop_front();
      end_ = begin_ + static_cast<RowId>(frame_->columns().rows());
      // A frame that ends before: it was asked for twice, after the rows had found a new place.
      if (end_ > position_) return Step::kRows;
      continue;
    }
    ask_ahead(*live);
    if (!asked_.front().answer) {
      if (!asked_.front().task.done()) return Step::kWait;
      asked_.front().answer = asked_.front().task.take();
    }
    const Ask first = std::move(asked_.front());
    asked_.pop_front();
    const Result<RowFrames>& frames = *first.answer;
    if (!frames.ok()) {
      if (live->places_changed == first.places) {
        if (frames.code() != Code::kNotFound) return Error(frames.error());
        const std::string name = file_name(FileKind::kSegment, first.frames.front().place.file);
        return Error{Code::kStorageCorrupt, name + " is missing", shown(name)};
      }
      // A commit has written these rows to another file and removed this one.
      asked_.clear();
      asked_to_ = position_;
      continue;
    }
    const size_t dimension = live->memory.schema().dimension;
    for (size_t i = 0; i < first.frames.size(); ++i) {
      const RowColumns& columns = frames.value()[i]->columns();
      if (columns.dimension != 0 && columns.dimension != dimension) {
        const std::string name = file_name(FileKind::kSegment, first.frames[i].place.file);
        return Error{Code::kStorageCorrupt, name + " holds vectors of another dimension", shown(name)};
      }
      here_.emplace_back(first.frames[i].first, frames.value()[i]);
    }
    ask_ahead(*live);
  }
}

Body BodyScan::body(const LiveCollection& live, RowId row, size_t i, size_t component, size_t components) const {
  const RowView here = live.memory.row(row);
  Body out{here.id, here.text, here.payload, Elements<float>(view_bytes(here.vector))};
  if (frame_ == nullptr) return out;
  const RowColumns& columns = frame_->columns();
  const Schema& schema = live.memory.schema();
  if (schema.payload_on_demand) out.text = columns.texts[i], out.payload = columns.payloads[i];
  if (schema.vectors_on_demand) out.vector = columns.vectors.subspan(component, components);
  return out;
}

}  // namespace nearfield
