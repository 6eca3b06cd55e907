import type { Route } from '../../http/route.js'
import { sendInviteV1 } from './invites-v1.js'
import { sendInviteV2 } from './invites-v2.js'
import { makeJoin, sendJoinV1 } from './joins-v1.js'
import { sendJoinV2 } from './joins-v2.js'
import { makeKnock, sendKnock } from './knocks.js'
import { makeLeave, sendLeaveV1 } from './leaving-v1.js'
import { sendLeaveV2 } from './leaving-v2.js'
import {
  exchangeThirdPartyInvite,
  onBindThirdPartyIdentifier,
  onBindThirdPartyIdentifierByPost,
} from './third-party-invite.js'

/** How memberships come and go between servers. */
export const membershipRoutes: readonly Route[] = [
  makeJoin,
  sendJoinV1,
  sendJoinV2,
  makeLeave,
  sendLeaveV1,
  sendLeaveV2,
  makeKnock,
  sendKnock,
  sendInviteV1,
  sendInviteV2,
  exchangeThirdPartyInvite,
  onBindThirdPartyIdentifier,
  onBindThirdPartyIdentifierByPost,
]
