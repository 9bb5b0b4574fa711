#pragma once

namespace director {
inline constexpr char kVersion[] = "0.1.0";
}  // namespace director
