import { EncryptingDevice } from '../../test/support/encryption.js'
import type { Bench, Figures } from '../bench.js'
import type { Session } from '../client.js'
import { inParallel } from '../statistics.js'

const USERS = 100
const KEYS = 50
const ALGORITHM = 'signed_curve25519'

/** Uploads of one-time keys, queries and claims of many users' keys. */
export async function measureDeviceKeys(bench: Bench): Promise<Figures> {
  const sessions = await bench.people(USERS)
  const devices: EncryptingDevice[] = []
  await inParallel(USERS, 10, async (index) => {
    devices[index] = await introduce(sessions[index]!)
  })
  const bodies = devices.map((device) => ({ one_time_keys: device.oneTimeKeys(keyNames('k')) }))
  const [first] = sessions
  const query = { device_keys: Object.fromEntries(sessions.map(({ userId }) => [userId, []])) }
  const uploads = await bench.time(`upload of ${KEYS} one-time keys`, USERS - 1, (index) =>
    upload(sessions[index]!, bodies[index]!),
  )
  const queries = await bench.time(`query of ${USERS} users' keys`, 50, () =>
    first!.request('POST', '/_matrix/client/v3/keys/query', query),
  )
  const claim = {
    one_time_keys: Object.fromEntries(
      devices.map(({ userId, deviceId }) => [userId, { [deviceId]: ALGORITHM }]),
    ),
  }
  const claims = await bench.time(`claim of a key of ${USERS} users`, KEYS - 1, async () => {
    const path = '/_matrix/client/v3/keys/claim'
    const { one_time_keys: keys } = await first!.request<{ one_time_keys: object }>('POST', path, claim)
    if (Object.keys(keys).length < USERS)
      throw new Error(`Only ${Object.keys(keys).length} keys were claimed`)
  })
  return { ...uploads, ...queries, ...claims }
}

function keyNames(prefix: string): string[] {
  return Array.from({ length: KEYS }, (_, index) => `${prefix}${index}`)
}

async function introduce(session: Session): Promise<EncryptingDevice> {
  const device = new EncryptingDevice({ userId: session.userId, deviceId: await session.deviceId() })
  await upload(session, { device_keys: device.deviceKeys })
  return device
}

async function upload(session: Session, body: Record<string, unknown>): Promise<void> {
  await session.request('POST', '/_matrix/client/v3/keys/upload', body)
}
