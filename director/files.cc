#include "director/files.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace director {

Result<std::string> ReadSmallFile(const std::string& path, std::size_t size_max_bytes) {
  const auto failed = [&](const std::string& why) {
    return Fail(ErrorKind::kInvalid, fmt::format("cannot read {}: {}", path, why));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) return failed(std::strerror(errno));
  std::string content;
  char buffer[16 * 1024];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) {
    content.append(buffer, count);
    if (content.size() > size_max_bytes)
      return failed(fmt::format("larger than {} bytes", size_max_bytes));
  }
  if (std::ferror(file.get()) != 0) return failed(std::strerror(errno));
  return content;
}

}  // namespace director
