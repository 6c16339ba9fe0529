// Reports of backups and of the doctor as JSON text.
#pragma once

#include <string>

#include "storage/backup.h"
#include "storage/doctor.h"

namespace nearfield {

std::string backup_json(const BackupReport& report);
std::string doctor_json(const DoctorReport& report);

}  // namespace nearfield
