// The call itself, and the verbs that read points.
#include "wasm/engine.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "wasm/hits.h"
#include "wasm/marshal.h"

namespace nearfield {

namespace {

// A buffer above this is given back, input after its call and what a search found before the next; smaller ones are
// reused.
constexpr size_t kKeptBytes = 1 << 20;
constexpr size_t kMaxQueries = 10'000;
constexpr size_t kQueriesAtOnce = 16;
constexpr size_t kMaxScrollPage = 10'000;

// Of one query; what else there is stands in core/collection/request.h.
enum QueryFlag : uint32_t { kHighlights = 1, kEmbed = 2 };

PointParts point_parts(const RowParts& parts) { return {parts.payload || parts.text, parts.vector}; }

uint32_t address(const void* pointer) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer)); }

std::string points_json(std::span<const Point> points, const RowParts& parts) {
  JsonText out;
  out.open('{').key("points").open('[');
  for (const Point& point : points) {
    out.open('{');
    write_row(out, {point.id, point.text, point.payload, point.vector}, parts);
    out.close('}');
  }
  return out.close(']').close('}').take();
}

std::string count_json(size_t count) { return JsonText().open('{').key("count").integer(count).close('}').take(); }

// Where the answer of a search lies; JSON because operations end with that.
std::string place_json(const Bytes& bytes) {
  return JsonText().open('{').key("place").integer(address(bytes.data())).close('}').take();
}

Error in_batch(Error error, size_t query, size_t queries) {
  if (queries > 1) error.message = "query " + std::to_string(query) + ": " + error.message;
  return error;
}

}  // namespace

// One of the queries of a search.
struct Query {
  SearchRequest request;  // its vector is in the message or in `vector`
  std::vector<float> vector;
  bool highlights = false;
};

uint32_t Engine::input(uint32_t bytes) {
  if (bytes > input_bytes_ || input_ == nullptr) {
    input_.reset();
    input_bytes_ = 0;
    input_.reset(new (std::nothrow) uint8_t[bytes]);
    if (input_ == nullptr) return 0;
    input_bytes_ = bytes;
  }
  return address(input_.get());
}

uint32_t Engine::outcome() const { return address(&outcome_); }

// A verb that answers at once, or one that had not begun its operation yet, has changed nothing. What drives operations
// may have lost an effect or its answer.
Engine::Answer Engine::run(Verb verb, uint32_t length) {
  const size_t operations = operations_.size();
  const auto halfway = [&] {
    return verb == &Engine::take_effects || verb == &Engine::answer || operations_.size() != operations;
  };
  if (verb == nullptr) {
    return Error{Code::kInvalidArgument,
                 "wasm: openSpecs() takes nearfield-specs.wasm, doctor() nearfield-doctor.wasm, configurations "
                 "nearfield-connect.wasm, everything else nearfield.wasm",
                 ""};
  }
  try {
    ASSIGN_OR_RETURN(Message message, read_message({input_.get(), std::min<size_t>(length, input_bytes_)}));
    const auto now = message.options.find("now");
    if (now != message.options.end() && now->is_number_unsigned()) effects_.set_now(now->get<uint64_t>());
    return (this->*verb)(message);
  } catch (const std::bad_alloc&) {
    return out_of_memory(halfway());
  } catch (const std::length_error&) {
    return out_of_memory(halfway());
  }
}

Error Engine::out_of_memory(bool halfway) {
  if (!halfway) {
    return {Code::kOutOfMemory, "the WebAssembly memory cannot grow far enough for this call; nothing was changed", ""};
  }
  outcome_.poisoned = 1;
  return {Code::kOutOfMemory,
          "the WebAssembly memory cannot grow far enough; whether this call was carried out shows after recover()", ""};
}

void Engine::call(Verb verb, uint32_t length) {
  found_.clear();
  if (found_.capacity() > kKeptBytes) found_ = {};
  Answer answer = run(verb, length);
  if (input_bytes_ > kKeptBytes) {
    input_.reset();
    input_bytes_ = 0;
  }
  outcome_.code = static_cast<uint32_t>(answer.code());
  if (answer.ok()) {
    output_ = std::move(answer).value();
  } else {
    JsonText out;
    out.open('{');
    write_error(out, answer.error());
    output_ = out.close('}').take();
  }
  // An answer without text is a search's.
  outcome_.offset = address(output_.empty() ? static_cast<const void*>(found_.data()) : output_.data());
  outcome_.length = static_cast<uint32_t>(output_.size());
}

Status Engine::require_database() const {
  if (database_ == nullptr) return Error{Code::kClosed, "the database is not open", ""};
  return {};
}

Result<const Collection*> Engine::collection(const Json& options) const {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(const std::string name, string_option(options, "collection"));
  return named(name);
}

Result<const Collection*> Engine::named(std::string_view name) const {
  RETURN_IF_ERROR(require_database());
  const Collection* found = database_->find(name);
  if (found == nullptr) return Error{Code::kNotFound, "there is no collection " + shown(name), shown(name)};
  return found;
}

Result<std::optional<Filter>> Engine::filter(const Json& options) const {
  const auto found = options.find("filter");
  if (found == options.end()) return std::optional<Filter>();
  ASSIGN_OR_RETURN(Filter parsed, Filter::parse(*found));
  return std::optional<Filter>(std::move(parsed));
}

Engine::Answer Engine::search(Message& message) {
  ByteReader& binary = message.binary;
  const std::string_view name = binary.get_string();
  const size_t queries = binary.get<uint32_t>();
  if (!binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a search is cut short", ""};
  ASSIGN_OR_RETURN(const Collection* target, named(name));
  if (queries > kMaxQueries) {
    return Error{
        Code::kLimitExceeded,
        std::to_string(queries) + " queries in one batch; at most " + std::to_string(kMaxQueries) + " are allowed",
        shown(static_cast<int64_t>(queries))};
  }
  std::vector<Query> waiting;
  for (size_t i = 0; i < queries; ++i) {
    Result<Query> query = read_query(binary);
    if (!query.ok()) return in_batch(std::move(query).error(), i, queries);
    if (target->on_demand()) {
      // The message is gone when its turn comes.
      Query& own = waiting.emplace_back(std::move(query).value());
      if (own.vector.empty()) own.vector.assign(own.request.vector.begin(), own.request.vector.end());
      continue;
    }
    Result<SearchResult> result = target->search(query->request);
    if (!result.ok()) return in_batch(std::move(result).error(), i, queries);
    write_result(found_, target, query->request, query->highlights, result.value());
  }
  if (target->on_demand()) return start(run_search(target->name(), std::move(waiting)));
  return std::string();
}

Task<Engine::Answer> Engine::run_search(std::string name, std::vector<Query> queries) {
  Held held;
  for (size_t i = 0; i < queries.size(); ++i) {
    // Where all is in the cache nothing waits, and the stack gets deeper with every query until something does.
    if (i % kQueriesAtOnce == kQueriesAtOnce - 1) co_await effects_.request(SleepEffect{0});
    Query& query = queries[i];
    SearchRequest& request = query.request;
    request.vector = query.vector;
    const bool strings = request.include_payload || request.include_text || query.highlights;
    const PointParts parts{strings, request.include_vector};
    Result<SearchResult> result = co_await database_->search(name, request, parts);
    if (!result.ok()) co_return in_batch(std::move(result).error(), i, queries.size());
    write_result(held.found, database_->find(name), request, query.highlights, result.value());
    if (parts.vector) std::move(result->loaded.begin(), result->loaded.end(), std::back_inserter(held.points));
  }
  std::string answer = place_json(held.found);
  hold(std::move(held));
  co_return answer;
}

void Engine::hold(Held held) { held_.push_back(std::move(held)); }

Result<Query> Engine::read_query(ByteReader& message) const {
  Query out;
  SearchRequest& request = out.request;
  const auto flags = message.get<uint32_t>();
  ASSIGN_OR_RETURN(request, read_search_request(message));
  out.highlights = (flags & kHighlights) != 0;
  if ((flags & kEmbed) == 0) return out;
  if (embedder_ == nullptr) return Error{Code::kUnsupported, "the embedder is not loaded", ""};
  std::vector<float>& embedded = out.vector;
  embedded.resize(embedder_->dimension());
  embedder_->embed(request.text, embedded);
  // A text without one known token has no direction; the words alone answer it, unless only vectors may.
  const bool known = std::any_of(embedded.begin(), embedded.end(), [](float component) { return component != 0; });
  if (known || request.mode == SearchMode::kDense) {
    request.vector = embedded;
  } else {
    embedded.clear();
  }
  return out;
}

Engine::Answer Engine::get(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  ASSIGN_OR_RETURN(const RowParts parts, row_parts(message.options));
  ASSIGN_OR_RETURN(std::vector<std::string> ids, read_strings(message.binary));
  if (target->on_demand()) return start(run_get(target->name(), std::move(ids), parts));
  JsonText out;
  out.open('{').key("points").open('[');
  for (const std::string& id : ids) {
    const std::optional<RowView> row = target->find(id);
    if (!row.has_value()) continue;
    out.open('{');
    write_row(out, *row, parts);
    out.close('}');
  }
  return out.close(']').close('}').take();
}

Engine::Answer Engine::count(Message& message) {
  const std::string_view name = message.binary.get_string();
  const std::string_view filter = message.binary.get_string();
  if (!message.binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a count is cut short", ""};
  ASSIGN_OR_RETURN(const Collection* target, named(name));
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, parse_filter(filter));
  if (target->on_demand()) return start(run_count(target->name(), std::move(wanted)));
  return count_json(target->count_matching(wanted.has_value() ? &*wanted : nullptr));
}

Task<Engine::Answer> Engine::run_count(std::string name, std::optional<Filter> wanted) {
  CO_ASSIGN_OR_RETURN(const size_t count, co_await database_->count(name, wanted.has_value() ? &*wanted : nullptr));
  co_return count_json(count);
}

Task<Engine::Answer> Engine::run_get(std::string name, std::vector<std::string> ids, RowParts parts) {
  CO_ASSIGN_OR_RETURN(std::vector<Point> points, co_await database_->get(name, std::move(ids), point_parts(parts)));
  std::string answer = points_json(points, parts);
  hold({std::move(points), {}});
  co_return answer;
}

Task<Engine::Answer> Engine::run_scroll(std::string name, std::optional<Filter> wanted, std::string after, size_t limit,
                                        RowParts parts) {
  CO_ASSIGN_OR_RETURN(std::vector<Point> points,
                      co_await database_->scroll(name, wanted.has_value() ? &*wanted : nullptr, std::move(after), limit,
                                                 point_parts(parts)));
  std::string answer = points_json(points, parts);
  hold({std::move(points), {}});
  co_return answer;
}

Engine::Answer Engine::scroll(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, filter(message.options));
  ASSIGN_OR_RETURN(const RowParts parts, row_parts(message.options));
  ASSIGN_OR_RETURN(std::string after, string_option(message.options, "after"));
  ASSIGN_OR_RETURN(const size_t asked, size_option(message.options, "limit"));
  const size_t limit = std::min(asked, kMaxScrollPage);
  if (target->on_demand()) {
    return start(run_scroll(target->name(), std::move(wanted), std::move(after), limit, parts));
  }
  JsonText out;
  out.open('{').key("points").open('[');
  for (const RowView& row : target->scroll(wanted.has_value() ? &*wanted : nullptr, after, limit)) {
    out.open('{');
    write_row(out, row, parts);
    out.close('}');
  }
  return out.close(']').close('}').take();
}

}  // namespace nearfield
