#include "storage/frame_cache.h"

namespace nearfield {

Result<std::shared_ptr<const RowFrame>> RowFrame::read(uint64_t collection, const FramePlace& place, ByteView bytes) {
  const FileIdentity identity = {FileKind::kSegment, place.file, collection};
  auto out = std::make_shared<RowFrame>();
  out->bytes_.assign(bytes.begin(), bytes.end());
  ASSIGN_OR_RETURN(const Frame frame, read_frame(identity, place.offset, out->bytes_));
  if (frame.type != FrameType::kRows || frame.checksum != place.checksum || frame.size != place.bytes) {
    return Error{Code::kFormatError, "another frame stands in its place", ""};
  }
  ASSIGN_OR_RETURN(out->columns_, view_rows(frame.payload));
  if (out->columns_.rows() != place.rows) return Error{Code::kFormatError, "it holds another number of rows", ""};
  return std::shared_ptr<const RowFrame>(std::move(out));
}

bool FrameCache::holds(const FramePlace& place) const {
  const auto found = index_.find({place.file, place.offset});
  return found != index_.end() && found->second->checksum == place.checksum;
}

std::shared_ptr<const RowFrame> FrameCache::find(const FramePlace& place) {
  const auto found = index_.find({place.file, place.offset});
  // A volume whose files were replaced may hold another frame under the same number.
  if (found == index_.end() || found->second->checksum != place.checksum) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->frame;
}

void FrameCache::drop(std::list<Kept>::iterator kept) {
  bytes_ -= kept->frame->bytes();
  index_.erase(kept->key);
  kept_.erase(kept);
}

void FrameCache::keep(const FramePlace& place, const std::shared_ptr<const RowFrame>& frame, Use use) {
  const Key key = {place.file, place.offset};
  if (const auto old = index_.find(key); old != index_.end()) drop(old->second);
  const size_t room = use == Use::kAgain ? limit_ : limit_ - bytes_;
  if (frame->bytes() > room) return;
  while (bytes_ + frame->bytes() > limit_) drop(std::prev(kept_.end()));
  // What is wanted once is the first to go.
  const auto place_in_order = use == Use::kAgain ? kept_.begin() : kept_.end();
  index_[key] = kept_.insert(place_in_order, {key, place.checksum, frame});
  bytes_ += frame->bytes();
}

Task<Result<RowFrames>> FrameCache::read(uint64_t collection, const std::vector<FramePlace>& places) {
  const FramePlace& first = places.front();
  const FramePlace& last = places.back();
  const uint64_t length = last.offset + last.bytes - first.offset;
  const std::string name = file_name(FileKind::kSegment, first.file);
  const EffectAnswer answer = co_await effects_.request(ReadEffect{name, first.offset, length});
  if (!answer.status.ok()) {
    Error error = answer.status.error();
    error.message = "read " + name + ": " + error.message;
    co_return error;
  }
  RowFrames frames;
  for (const FramePlace& place : places) {
    const auto begin = static_cast<size_t>(place.offset - first.offset);
    const bool whole = begin + place.bytes <= answer.bytes.size();
    const auto frame =
        whole ? RowFrame::read(collection, place, ByteView(answer.bytes).subspan(begin, place.bytes))
              : Result<std::shared_ptr<const RowFrame>>(Error{Code::kFormatError, "the file ends early", ""});
    if (!frame.ok()) {
      co_return Error{Code::kStorageCorrupt,
                      name + " is damaged at byte " + std::to_string(place.offset) + ": " + frame.error().message,
                      shown(name)};
    }
    frames.push_back(frame.value());
  }
  co_return frames;
}

Task<Result<RowFrames>> FrameCache::load(uint64_t collection, std::vector<FramePlace> places, Use use) {
  const auto kept = [&]() {
    RowFrames frames;
    for (const FramePlace& place : places) {
      frames.push_back(find(place));
      if (frames.back() == nullptr) return RowFrames();
    }
    return frames;
  };
  if (RowFrames frames = kept(); !frames.empty()) co_return frames;

  const Key key = {places.front().file, places.front().offset};
  std::shared_ptr<Reading> reading = reading_[key].lock();
  if (reading == nullptr) reading_[key] = reading = std::make_shared<Reading>();
  RowFrames frames;
  Status status;
  {
    const AsyncLock::Held held = co_await reading->turn.acquire();
    // Whoever had the turn before may have read as much, or less.
    if (reading->frames.size() >= places.size()) {
      frames.assign(reading->frames.begin(), reading->frames.begin() + static_cast<std::ptrdiff_t>(places.size()));
    } else {
      Result<RowFrames> read_now = co_await read(collection, places);
      if (read_now.ok()) {
        frames = reading->frames = std::move(read_now).value();
        for (size_t i = 0; i < places.size(); ++i) keep(places[i], frames[i], use);
      } else {
        status = std::move(read_now).failure();
      }
    }
  }
  if (reading.use_count() == 1) reading_.erase(key);
  if (!status.ok()) co_return std::move(status).failure();
  co_return frames;
}

}  // namespace nearfield
