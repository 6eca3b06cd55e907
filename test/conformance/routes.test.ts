import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { allRoutes } from '../../src/api/resources.js'
import { buildRouteTable } from '../../src/http/route-table.js'
import { NOT_SERVED } from './not-served.js'

interface Operation {
  readonly method: string
  readonly path: string
  readonly operationId: string
}

/** The operations of the client-server API: method, path, name. */
const OPERATIONS: readonly Operation[] = readFileSync(
  join(import.meta.dirname, 'fixtures/client-server-operations.txt'),
  'utf8',
)
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [method = '', path = '', operationId = ''] = line.split(' ')
    return { method, path, operationId }
  })

/** Routes that are not in the client-server API: of the administration API, of proposals, operations, federation, old. */
const OWN =
  /^(?:admin[A-Z]|federation[A-Z]|unstable[A-Z]|getHealth$|getMetrics$|getServerWellKnown$|unsubscribe(?:Page)?$|passwordResetPage$|policyPage$|agreeToPolicy$|startPage$|welcomePage$|loginFallbackPage$|(?:submitU|u)iAuthPage$|casTicket$|pickIdp$|accountDetailsPage$|submitAccountDetails$|checkNewName$|newUserConsentPage$|submitNewUserConsent$|registerNewcomer$|oidc(?:Form)?Callback$|oidcBackchannelLogout$|submit\w+Token$|deleteAppserviceRoomDirectoryEntry$|\w+WithoutTransaction$|\w+UnknownPushRule$)/

/** The shape of a path, whatever its parameters are called. */
function shapeOf(path: string): string {
  return path.replace(/\{\w+\}|:\w+/g, ':')
}

describe('routes', () => {
  const routes = new Map(allRoutes().map((route) => [route.operationId, route]))
  const notServed = new Set(Object.values(NOT_SERVED).flat())

  it('form a table without two routes at one place', () => {
    expect(buildRouteTable(allRoutes())).to.have.length.above(routes.size)
  })

  it('have the method and path of the operation whose name they bear', () => {
    const served = new Map(
      buildRouteTable(allRoutes()).map((entry) => [`${entry.method} ${shapeOf(entry.path)}`, entry]),
    )
    for (const { method, path, operationId } of OPERATIONS) {
      if (!routes.has(operationId)) continue
      const entry = served.get(`${method} ${shapeOf(path)}`)
      expect(entry?.route.operationId, `${method} ${path}`).to.equal(operationId)
    }
  })

  it('cover every operation, or there is a reason why not', () => {
    const missing = OPERATIONS.map(({ operationId }) => operationId).filter(
      (id) => !routes.has(id) && !notServed.has(id),
    )
    expect(missing).to.deep.equal([])
  })

  it('are not on the list of those that do not exist', () => {
    const known = new Set(OPERATIONS.map(({ operationId }) => operationId))
    expect([...notServed].filter((id) => routes.has(id) || !known.has(id))).to.deep.equal([])
  })

  it('bear no name that the specification does not know', () => {
    const known = new Set(OPERATIONS.map(({ operationId }) => operationId))
    expect([...routes.keys()].filter((id) => !known.has(id) && !OWN.test(id))).to.deep.equal([])
  })

  it('ask for authentication where the specification does', () => {
    const open = [...routes.values()]
      .filter(({ auth }) => auth === 'none')
      .map(({ operationId }) => operationId)
    const mayBeOpen =
      /^(?:federation(?:GetVersion|GetServerKey|GetServerKeyById|PerspectivesKeyQuery|PerspectivesKeyQueryById|BulkPerspectivesKeyQuery|ExchangeOpenIdToken|OnBindThirdPartyIdentifier(?:ByPost)?)|getVersions|getWellknown|getServerWellKnown|getLoginFlows|login|register|checkUsernameAvailability|registrationTokenValidity|refresh|getHealth|getMetrics|adminGetRegistrationNonce|adminRegisterWithSharedSecret|adminGetServerVersion|changePassword|deactivateAccount|getRoomIdByAlias|getRoomVisibilityOnDirectory|getPublicRooms|getWellknownSupport|getAuthMetadata|redirectTo(?:SSO|IdP)|requestTokenTo\w+|unsubscribe(?:Page)?|passwordResetPage|policyPage|agreeToPolicy|startPage|welcomePage|loginFallbackPage|(?:submitU|u)iAuthPage|casTicket|pickIdp|accountDetailsPage|submitAccountDetails|checkNewName|newUserConsentPage|submitNewUserConsent|registerNewcomer|oidc(?:Form)?Callback|oidcBackchannelLogout|submit\w+Token|unstable\w+Rendezvous(?:ByUrl)?)$/
    expect(open.filter((id) => !mayBeOpen.test(id) && id !== 'unstableGetAuthIssuer')).to.deep.equal([])
  })
})
