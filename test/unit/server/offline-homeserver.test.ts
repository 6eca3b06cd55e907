import { expect } from 'chai'
import type { HomeserverConfig } from '../../../src/config/homeserver-config.js'
import type { UserId } from '../../../src/protocol/ids.js'
import { actingFor } from '../../../src/services/accounts/requester.js'
import { withOfflineHomeserver } from '../../../src/server/offline-homeserver.js'
import { createTestDatabase, startPostgres, type TestDatabase } from '../../support/databases.js'
import { SERVER_NAME, testConfig } from '../../support/homeserver.js'

const ALICE = `@alice:${SERVER_NAME}` as UserId

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`withOfflineHomeserver (${kind})`, function () {
    this.timeout(30_000)
    let database: TestDatabase

    before(async () => {
      if (kind === 'postgres') await startPostgres()
    })
    beforeEach(async () => {
      database = await createTestDatabase(kind)
    })
    afterEach(() => database.remove())

    const config = (): HomeserverConfig => ({
      ...testConfig(),
      database: database.config as HomeserverConfig['database'],
    })

    it('does what a server would do, one after the other', async () => {
      await withOfflineHomeserver(config(), ({ services }) =>
        services.accountRegistration.registerDirectly({ username: 'alice', password: undefined }),
      )
      const taken = withOfflineHomeserver(config(), ({ services }) =>
        services.accountRegistration.registerDirectly({ username: 'alice', password: undefined }),
      )
      expect(await taken.catch((error: unknown) => error)).to.have.property('errcode', 'M_USER_IN_USE')
    })

    it('finishes what goes on behind a call', async () => {
      const config_ = config()
      const { roomId } = await withOfflineHomeserver(config_, async ({ services }) => {
        await services.accountRegistration.registerDirectly({ username: 'alice', password: undefined })
        return services.roomCreation.create(actingFor({ userId: ALICE, isGuest: false }), {})
      })
      await withOfflineHomeserver(config_, async ({ services }) => {
        expect(await services.roomMembership.listJoined(ALICE)).to.deep.equal([roomId])
      })
      await withOfflineHomeserver(config_, ({ services }) =>
        services.accountDeactivation.deactivate(ALICE, { erase: false }),
      )
      await withOfflineHomeserver(config_, async ({ services }) => {
        expect(await services.roomMembership.listJoined(ALICE)).to.deep.equal([])
      })
    })
  })
}
