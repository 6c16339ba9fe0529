#include "wasm/report.h"

#include "wasm/marshal.h"

namespace nearfield {

namespace {

void write_strings(JsonText& out, std::string_view name, const std::vector<std::string>& texts) {
  out.key(name).open('[');
  for (const std::string& text : texts) out.string(text);
  out.close(']');
}

void write_file(JsonText& out, const FileFinding& file) {
  out.open('{').key("name").string(file.name).key("state").string(file_state_name(file.state));
  out.key("bytes").integer(file.bytes).key("generations").open('[');
  for (const uint64_t generation : file.generations) out.integer(generation);
  out.close(']').key("damage").open('[');
  for (const Region& region : file.damage) {
    out.open('{').key("offset").integer(region.offset).key("length").integer(region.length).close('}');
  }
  out.close(']').key("meaning").string(file.meaning).close('}');
}

void write_generation(JsonText& out, const GenerationFinding& found) {
  out.open('{').key("generation").integer(found.generation).key("sound").boolean(found.sound);
  out.key("logRecords").integer(found.log_records).key("collections").open('[');
  for (const CollectionCount& each : found.collections) {
    out.open('{').key("name").string(each.name).key("points").integer(each.points).close('}');
  }
  out.close(']').key("meaning").string(found.meaning).close('}');
}

void write_repair(JsonText& out, const Repair& repair) {
  out.key("repair").open('{').key("generation").integer(repair.generation).key("collections").open('[');
  for (const Rescue& each : repair.collections) {
    out.open('{').key("name").string(each.collection).key("points").integer(each.points);
    out.key("rescued").integer(each.rescued);
    write_strings(out, "ids", each.ids);
    out.close('}');
  }
  out.close(']');
  write_strings(out, "lost", repair.lost);
  out.key("meaning").string(repair.meaning).close('}');
}

}  // namespace

std::string backup_json(const BackupReport& report) {
  JsonText out;
  out.open('{').key("generation").integer(report.generation).key("bytes").integer(report.bytes);
  out.key("collections").integer(report.collections).key("points").integer(report.rows);
  return out.close('}').take();
}

std::string doctor_json(const DoctorReport& report) {
  JsonText out;
  out.open('{').key("healthy").boolean(report.healthy());
  out.key("newest").integer(report.newest).key("opens").integer(report.opens);
  out.key("files").open('[');
  for (const FileFinding& file : report.files) write_file(out, file);
  out.close(']').key("generations").open('[');
  for (const GenerationFinding& found : report.generations) write_generation(out, found);
  out.close(']');
  write_strings(out, "problems", report.problems);
  if (report.repair) write_repair(out, *report.repair);
  return out.close('}').take();
}

}  // namespace nearfield
