#pragma once

#include <chrono>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "signing/reply_identity.h"

namespace director::director_test {

inline constexpr Timestamp kReplyTime{std::chrono::hours(24 * 20'500)};

/// One for all tests and worlds of a process: to make one takes tenths of a second.
inline Secret SomeReplyIdentity() {
  static const Result<Secret> identity = MakeReplyIdentity(kReplyTime);
  return identity.value();
}

/// Fit for `Secrets`.
inline Result<Secret> ReuseReplyIdentity(Timestamp /*now*/) { return SomeReplyIdentity(); }

/// A key pair and an envelope for it around AAAA-BBBB-CCCC-DDDD-EEEE-FFFF, both of Python's
/// cryptography. For tests alone.
inline constexpr char kForeignIdentity[] = R"(-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC96wOeR5ZaCWov
aaRfltN+RFYpWTZnudpF4ZccuFQhKohiw0YZWZgj1Zq2e3e5NylubKwY7cquGNbv
m3THYpIbYtZlHBJpbkxjXtCdMflkbb8arVn1oPLRA8rYx5KQv4+RZemJ3Ohrrw5V
KfVZkAOmMrjznucvNrz9dF5Qtzp82qYE0fegajCimWpKI/BfFIBiqPzjeRJ8F8dc
xLs+GgTyB0rrr9a48Qf2e1ZahNQ2LUJr//poHgq5KBZyrSG0JniGiwh9w9pkUybo
SfTmPAkqbPGHmbzo5hqIK6uE2w0fTonhQNLQg3rxjQlqK8L1bHvXTImfwhhRFsEF
2u/sWi9LAgMBAAECggEAGuIyn+woR1R/2HhO0U0rYPtRawb64ZH4aN33IxSgrBU2
OyzDNoFtPN1WyjAOEYTSc5QkhF7cyuovOrm5vSOh5QiHqsZfgNchLwvT4fyZ/fJf
E+qoClIfLSEpTKhrgdvr+bwAZAiGSf/8umd3GJd/PL5/WdULiq5n8ETRuQFG4Tdf
xx/OBqUoyErXCDbV6xu771yaRbojjn1F6hCwwD+FYUzg/Csjlop48lWs2g4hIUP+
bcAjkiEI0KBA4ymRSU3kdTVGEJSDp7q+mCaK3FEQn/tQ2W4r9b8ILjV7n5nb/S3Z
5J1ttEyOAH6pRB6ugf6tEsRJBHMOHH1x/PZOmDmFiQKBgQDjDZiuLfRApuXPAMsA
UwHVZXQog7hfww2vOTw5hEsfix6DfKsQpbLxd6msUEy+fU2LZCLqg8n8kyVSAaZ4
AygJub9/R5A093DfycHSjj7WNhsNUUh/PAfVbjKmdIhx2BWAaHoNW2sVc8zl0I/U
zASnT8ogc8YoNeeyYvZ1l7Sc3QKBgQDWIW2hdpE3m5IRzlwNYeAx+1e4TPoIcYuP
OuO9xkYP50ZRktVtXZwXTQw+V/R/0IT9mTgP217t5i5vr3YUYK/nVS12q/1G/PJw
it3RFHdA/77zukbTqDRzl7SWp0E0kW41+EjfoAazHWzdEqudWDOsa+B2AshY3q4Q
eVN6SdOGRwKBgCezIeYarOF9DSOTrOsCmIh6c8P9vAgqb8Mai9g2tHfweEZfTv3b
Kx2jYax6YeDQwfVEbgJ5RqD+DYF4PmYvjxmcO8qCdcl9FmRav6QUMRJ9ZV9/veBZ
W7lKylpmd9EICkJogibBvEiE9eec/vkjLxEeF2ZzN8uiGUAMo7FN9EuVAoGBANTg
PL41Qp8WwTuEfM0tDZaC+i0WEchNIWJOOFTVBZgP4z97i0SDuIcNqOtdw4tBwMTh
CvPwscoueOG9fNU7XgTMEDuXNl/ZXih2VZjjEL+EwNBK0tjesu5r1jOjqVZackej
QsdWrvJogW6yffwZ0J1MTcTkdUqsbj2gcFX1iR1HAoGBALWYpL5KVLC6LfNtloCr
UoRcgm+2QXgq9A3xtDVtbMSfsbJzbEKqTjX8b3zpCA4nIkIbU0Bl8Ag3RHCTLdL8
jDUwqyLqT4+5r68anFlkL91ioV5+nSksFJy5YRgdBbOE3ujwiZEf8HLLsSkndHL/
QJnL71wTcktwxXChwW53Krdd
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIICnzCCAYegAwIBAgIDEtaHMA0GCSqGSIb3DQEBCwUAMBIxEDAOBgNVBAMMB0Zv
cmVpZ24wHhcNMjYwMTAxMDAwMDAwWhcNMzYwMTAxMDAwMDAwWjASMRAwDgYDVQQD
DAdGb3JlaWduMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvesDnkeW
WglqL2mkX5bTfkRWKVk2Z7naReGXHLhUISqIYsNGGVmYI9Watnt3uTcpbmysGO3K
rhjW75t0x2KSG2LWZRwSaW5MY17QnTH5ZG2/Gq1Z9aDy0QPK2MeSkL+PkWXpidzo
a68OVSn1WZADpjK4857nLza8/XReULc6fNqmBNH3oGowoplqSiPwXxSAYqj843kS
fBfHXMS7PhoE8gdK66/WuPEH9ntWWoTUNi1Ca//6aB4KuSgWcq0htCZ4hosIfcPa
ZFMm6En05jwJKmzxh5m86OYaiCurhNsNH06J4UDS0IN68Y0JaivC9Wx710yJn8IY
URbBBdrv7FovSwIDAQABMA0GCSqGSIb3DQEBCwUAA4IBAQCppTYsvSFuzjSGl5Pr
iafB6ZFCNcb5ZHcGiV3AQBU+KMzWjqKduSxe/iePGTvwuZ9bExYFriltmBpqk4Ga
eoKJni9iHVMCTb7dtyzD30SAofJYJB5nu9C0Ub869j5W2qOrgQUAc7MhhmmebM5J
30xlWGW19/6Upepn5hOQnE2Q3LKqJAz5ot9S61Gped7wOYDVV3xHqrTz33dmUJ8S
j6AhyY9vjJW2w+ujY89QZYNerFBWgoj7R1kCcrYsqJhWLsSogi+F8023QRr5MuNB
5r3HSJTDbDd7+W7Rrh5p+udlteVZkf2DvNcEUdSzE8MoYBqiSyITjUlCggwYUttL
N9PS
-----END CERTIFICATE-----
)";

inline constexpr char kForeignEnvelope[] =
    "MIIBnQYJKoZIhvcNAQcDoIIBjjCCAYoCAQAxggE1MIIBMQIBADAZMBIxEDAOBgNVBAMMB0ZvcmVpZ24C"
    "AxLWhzANBgkqhkiG9w0BAQEFAASCAQBRsqM/i9Zb5r6SW1IoCytSbgGnEutU0RhFR0EhwKV6r9/oS5+u"
    "LgzOnGBxE3aH2GF725jXvtqvUz/KBEGWLHYvdpTy3pfz8jsEV0l12YsfcVVcj+Xf7j1a3Bg24RrZnNCU"
    "+yWQNqMrESntQ05zcZhM7tHcT2zl9wNL8h2Z8g7k2Czzzf+Ey+A4UhNdMeXmoEOPajj9JpoKyF6HYK5Q"
    "MoeA+yz77i7qmA+tZHJfhJtN9tGyDmAxYkazHD58OKPaJAOG9Tb6NcwOhVuwi2qOhkzqFxD0zU1BomGa"
    "UaWjYUIMdT2bo4A21FghabDb4lZQEKVcr8uxX/QEYCEHO68JkNzXMEwGCSqGSIb3DQEHATAdBglghkgB"
    "ZQMEAQIEEDHqbAaSwQgRv2D13TKv6AGAIEQxTIkx2kbGQqmqvqpO9KtUQv1o7SKYlfnKr8Bx1q10";

}  // namespace director::director_test
