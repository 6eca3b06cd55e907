import type { Route } from '../../http/route.js'
import * as banning from './banning.js'
import * as createRoom from './create-room.js'
import * as directory from './directory.js'
import * as inviting from './inviting.js'
import * as joining from './joining.js'
import * as kicking from './kicking.js'
import * as knocking from './knocking.js'
import * as leaving from './leaving.js'
import * as listJoinedRooms from './list-joined-rooms.js'
import * as listPublicRooms from './list-public-rooms.js'
import * as redaction from './redaction.js'
import * as roomSend from './room-send.js'
import * as roomState from './room-state.js'
import * as roomSummary from './room-summary.js'
import * as roomUpgrades from './room-upgrades.js'
import * as spaceHierarchy from './space-hierarchy.js'

/** Making rooms, entering and leaving them, finding them, and sending into them. */
export const roomsRoutes: readonly Route[] = [
  createRoom,
  joining,
  knocking,
  leaving,
  inviting,
  kicking,
  banning,
  listJoinedRooms,
  directory,
  listPublicRooms,
  roomSummary,
  spaceHierarchy,
  roomUpgrades,
  roomSend,
  roomState,
  redaction,
].flatMap((file) => Object.values<Route>(file))
