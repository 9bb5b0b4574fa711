#pragma once

#include <functional>

#include "simulator/device.h"
#include "simulator/mdm_stand_in.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/scenario.h"

namespace director::simulation {

/// Draws how a device of this scenario behaves from `begin` until its faults end.
DeviceBehaviour MakeBehaviour(const Scenario& scenario, Timestamp begin, RandomSource& random);
/// Draws how its apps behave and, where the scenario has odd builds, its OS updates.
void AddAppBehaviour(const Scenario& scenario, Timestamp begin, RandomSource& random,
                     DeviceBehaviour& behaviour);
/// Draws how the users of its managed apps behave, and whether it lists them.
void AddManagedApps(RandomSource& random, DeviceBehaviour& behaviour);
/// Draws when its identity ends, where identities end.
void AddIdentity(const Scenario& scenario, Timestamp begin, RandomSource& random,
                 DeviceBehaviour& behaviour);

/// One virtual device in the world: reacts to pushes, polls by itself now and then, and has its
/// sessions with the MDM server message by message, so that everything else may happen between.
class DeviceActor {
 public:
  /// Called after the server has handled a message of the device.
  using OnContact = std::function<void(const EnrollmentId&)>;

  DeviceActor(Kernel& kernel, MdmStandIn& server, const Faults& faults, RandomSource& random,
              VirtualDevice device, OnContact on_contact);
  DeviceActor(const DeviceActor&) = delete;
  DeviceActor& operator=(const DeviceActor&) = delete;

  /// Plans everything that the device does by itself.
  void Start(Timestamp enrolls_at);
  /// Apple delivers a push: at once, or when the device wakes.
  void Push();
  /// The device leaves management and enrolls anew, erased, after a while.
  void CheckOut(Duration away_for);

  /// Apple gives the device a new push token.
  void RefreshToken();

  /// True from the beginning of `CheckOut` until the device is back.
  bool is_leaving() const { return is_leaving_; }

  VirtualDevice& device() { return device_; }
  const VirtualDevice& device() const { return device_; }

 private:
  void Wake();
  void Begin();
  void Send(DeviceMessage message);
  void Reply(const DeviceReply& reply);
  void EndSession();
  void PlanOwnPoll();
  void ComeBack();

  Kernel& kernel_;
  MdmStandIn& server_;
  const Faults& faults_;
  RandomSource& random_;
  VirtualDevice device_;
  OnContact on_contact_;
  bool in_session_ = false;
  bool again_ = false;  ///< a push came during the session
  bool wake_planned_ = false;
  bool is_leaving_ = false;
  int leaving_epoch_ = 0;
};

}  // namespace director::simulation
