# Everything comes from the distribution; ./dev setup installs it on Debian 12 and 13.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(fmt REQUIRED)
find_package(tl-expected REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(Catch2 REQUIRED)
pkg_check_modules(plist REQUIRED IMPORTED_TARGET libplist-2.0)
pkg_check_modules(cpp_httplib REQUIRED IMPORTED_TARGET cpp-httplib)

# Headers of the distribution are not ours to warn about.
add_library(httplib INTERFACE)
target_link_libraries(httplib INTERFACE PkgConfig::cpp_httplib OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
