import type { Route } from '../../http/route.js'
import * as admin from './admin.js'
import * as administrativeContact from './administrative-contact.js'
import * as mutualRooms from './mutual-rooms.js'
import * as oauthServerMetadata from './oauth-server-metadata.js'
import * as oldSync from './old-sync.js'
import * as openid from './openid.js'
import * as reportContent from './report-content.js'
import * as search from './search.js'
import * as ssoLoginRedirect from './sso-login-redirect.js'
import * as support from './support.js'
import * as users from './users.js'
import * as voip from './voip.js'

const modules: readonly Readonly<Record<string, Route>>[] = [
  support,
  oauthServerMetadata,
  ssoLoginRedirect,
  administrativeContact,
  openid,
  voip,
  admin,
  reportContent,
  mutualRooms,
  oldSync,
  search,
  users,
]

/** What is found out and asked for around rooms and accounts. */
export const discoveryRoutes: readonly Route[] = modules.flatMap((module) => Object.values(module))
