import { randomBytes, randomInt } from 'node:crypto'
import { basename } from 'node:path'
import { expect } from 'chai'
import { createMediaTools } from '../../../src/server/media-shelf.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { systemClock } from '../../../src/util/clock.js'
import { quietContext } from '../../support/databases.js'
import { testConfig } from '../../support/homeserver.js'
import { MatrixClient } from '../../support/matrix-client.js'
import { downloadFile, uploadFile } from '../../support/media-client.js'
import { useScratch } from '../../support/scratch.js'
import { ServerProcess } from '../../support/server-process.js'

const CRASHES = 2
const UPLOADERS = 4
const LARGEST = 1_000_000

/**
 * Uploads go on while the process is killed: what was acknowledged is there, no row is without its file, and whatever
 * else is on the disk is found and cleared away.
 */
describe('kill -9 during uploads', function () {
  this.timeout(600_000)
  const scratch = useScratch()

  it('loses nothing and leaves nothing that cannot be explained', async () => {
    const storePath = scratch.path('media')
    const database = `../${basename(scratch.directory)}/crash.db`
    await using server = await ServerProcess.start({
      database: { name: 'sqlite3', args: { database } },
      config: {
        media_store_path: storePath,
        enable_registration: true,
        enable_registration_without_verification: true,
      },
    })
    const anonymous = new MatrixClient(server.url)
    const clients = await Promise.all(
      Array.from({ length: UPLOADERS }, (_, index) => anonymous.register(`uploader${index}`, 'secret')),
    )
    const acknowledged = new Map<string, Buffer>()
    for (let crash = 0; crash < CRASHES; crash++) {
      await uploadUntilKilled(server, clients, acknowledged)
      const { lost } = await check(storePath, scratch.path('crash.db'), { fix: false })
      expect(lost).to.deep.equal([])
      await check(storePath, scratch.path('crash.db'), { fix: true })
      const report = await check(storePath, scratch.path('crash.db'), { fix: false })
      expect(report).to.deep.equal({
        files: report.files,
        lost: [],
        orphans: [],
        uncopied: [],
        unfinished: 0,
      })
      await server.restart()
      for (const [uri, bytes] of acknowledged) {
        const response = await downloadFile(clients[0]!, uri)
        expect(response.status).to.equal(200)
        expect(response.bytes.equals(bytes)).to.equal(true)
      }
      acknowledged.clear()
    }
  })
})

/** Everybody uploads one file after the other, some of them equal, until the process is gone. */
async function uploadUntilKilled(
  server: ServerProcess,
  clients: readonly MatrixClient[],
  acknowledged: Map<string, Buffer>,
): Promise<void> {
  const shared = randomBytes(LARGEST)
  const killAfter = acknowledged.size + randomInt(5, 25)
  let reached: () => void = () => undefined
  const enough = new Promise<void>((resolve) => (reached = resolve))
  const uploading = clients.map(async (client) => {
    for (;;) {
      const bytes = randomInt(3) === 0 ? shared : randomBytes(randomInt(1, LARGEST))
      try {
        acknowledged.set(await uploadFile(client, bytes), bytes)
      } catch {
        return
      }
      if (acknowledged.size >= killAfter) reached()
    }
  })
  await enough
  await new Promise((resolve) => setTimeout(resolve, randomInt(0, 20)))
  await server.end('SIGKILL')
  await Promise.all(uploading)
}

async function check(storePath: string, path: string, options: { fix: boolean }) {
  const db = await openDatabase({ name: 'sqlite', path }, quietContext())
  try {
    const config = testConfig({ media_store_path: storePath })
    const tools = createMediaTools({ config, db, clock: systemClock, logger: silentLogger() })
    return await tools.check.run({ ...options, graceMs: 0 })
  } finally {
    await db.close()
  }
}
