import { expect } from 'chai'
import type { ServerName, UserId } from '../../../../src/protocol/ids.js'
import { DeviceListFeed } from '../../../../src/services/federation/device-list-feed.js'
import type { Database } from '../../../../src/storage/database.js'
import { FederationOutboxStore } from '../../../../src/storage/stores/federation-outbox.js'
import { FederationPositionsStore } from '../../../../src/storage/stores/federation-positions.js'
import { forEachDatabase } from '../../../support/databases.js'

const ALICE = '@alice:hs.test' as UserId
const OTHER = 'other.test' as ServerName

forEachDatabase('DeviceListFeed', (open) => {
  let db: Database
  let position: number
  let audience: Set<ServerName>

  beforeEach(async () => {
    db = await open()
    position = 0
    audience = new Set()
  })

  /** One that has followed the stream so far. */
  async function follow(): Promise<DeviceListFeed> {
    const feed = new DeviceListFeed({
      db,
      serverName: 'hs.test' as ServerName,
      store: {
        listLocalDeviceChanges: (_q, { after, upTo }) =>
          Promise.resolve(
            Array.from({ length: upTo - after }, (_, index) => after + index + 1).map((streamId) => ({
              userId: ALICE,
              deviceId: `DEVICE${streamId}`,
              streamId,
            })),
          ),
      },
      outbox: new FederationOutboxStore(),
      positions: new FederationPositionsStore(),
      stream: { position: () => position },
      audience: { serversOfUsers: () => Promise.resolve(new Map([[ALICE, audience]])) },
      sender: { noteOutbox: () => undefined },
      onError: (error) => {
        throw error
      },
    })
    await feed.start()
    return feed
  }

  async function told(): Promise<number[]> {
    const changes = await new FederationOutboxStore().listDeviceChanges(db.reader, OTHER, 10)
    return changes.map(({ streamId }) => streamId)
  }

  async function change(feed: DeviceListFeed): Promise<void> {
    position++
    feed.onNewPosition('device_lists')
    await feed.stop()
  }

  it('tells servers of what changes', async () => {
    audience.add(OTHER)
    await change(await follow())
    expect(await told()).to.deep.equal([1])
  })

  it('tells of what changed while it was stopped', async () => {
    await (await follow()).stop()
    position = 2
    audience.add(OTHER)
    await (await follow()).stop()
    expect(await told()).to.deep.equal([1, 2])
  })

  it('tells servers that are met after the next start nothing of before', async () => {
    await change(await follow())
    audience.add(OTHER)
    await change(await follow())
    expect(await told()).to.deep.equal([2])
  })
})
