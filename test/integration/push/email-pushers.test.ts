import { expect } from 'chai'
import type { Database } from '../../../src/storage/database.js'
import { ThreepidsStore } from '../../../src/storage/stores/threepids.js'
import type { UserId } from '../../../src/protocol/ids.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { quietContext } from '../../support/databases.js'
import { FakeSmtp, type ReceivedMail } from '../../support/fake-smtp.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import type { MatrixClient } from '../../support/matrix-client.js'

const ADDRESS = 'alice@mail.test'
const PUSHER = {
  app_id: 'm.email',
  pushkey: ADDRESS,
  kind: 'email',
  app_display_name: 'Email',
  device_display_name: ADDRESS,
  lang: 'en',
  data: {},
}
const MINUTE_MS = 60_000

async function giveAddress(server: TestHomeserver, userId: string): Promise<void> {
  const db: Database = await openDatabase(server.config.database, quietContext())
  const threepid = { medium: 'email', address: ADDRESS, validatedTs: 1, addedTs: 1 }
  await db.write('test', (tx) => new ThreepidsStore().insert(tx, userId as UserId, threepid))
  await db.close()
}

/** Lets the time pass until so many mails have come. */
async function advanceUntil(clock: ManualClock, smtp: FakeSmtp, mails: number): Promise<ReceivedMail[]> {
  for (let round = 0; round < 3_000 && smtp.mails.length < mails; round++) {
    clock.advance(MINUTE_MS)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return smtp.waitFor(mails)
}

describe('notifications by mail', function () {
  this.timeout(60_000)
  let smtp: FakeSmtp
  let server: TestHomeserver
  let clock: ManualClock
  let alice: MatrixClient
  let bob: MatrixClient

  beforeEach(async () => {
    smtp = await FakeSmtp.start()
    clock = new ManualClock(Date.now())
    const email = { ...smtp.config, enable_notifs: true, app_name: 'Our chat' }
    server = await startHomeserver({ config: { email }, clock })
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  afterEach(async () => {
    await server[Symbol.asyncDispose]()
    await smtp[Symbol.asyncDispose]()
  })

  it('come when something stays unread, with a link that ends them', async () => {
    await giveAddress(server, alice.userId)
    await alice.must('POST', '/_matrix/client/v3/pushers/set', { body: PUSHER })
    const roomId = await alice.createRoom({ preset: 'public_chat', name: 'Garden' })
    await bob.join(roomId)
    await bob.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'The tomatoes are ripe',
      format: 'org.matrix.custom.html',
      formatted_body: 'The <b>tomatoes</b> are ripe<script>alert(1)</script>',
    })
    const [mail] = await advanceUntil(clock, smtp, 1)
    expect(mail?.to).to.deep.equal([ADDRESS])
    expect(mail?.text).to.match(/^Subject: \[Our chat\] bob wrote to you in Garden$/m)
    expect(mail?.text).to.include('The tomatoes are ripe')
    expect(mail?.text).to.include('The <b>tomatoes</b> are ripe')
    expect(mail?.text).not.to.include('alert(1)')
    expect(mail?.text).to.match(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click$/m)

    const [, link = ''] = /^List-Unsubscribe: <([^>]*)>$/m.exec(mail?.text ?? '') ?? []
    const { pathname, search } = new URL(link)
    const question = await server.client().request('GET', pathname + search)
    expect(question.text).to.include(ADDRESS)
    expect(await alice.must('GET', '/_matrix/client/v3/pushers')).to.have.nested.property('pushers[0]')
    const forged = search.replace('pushkey=alice', 'pushkey=carol')
    expect((await server.client().request('POST', pathname + forged)).status).to.equal(403)
    expect((await server.client().request('POST', pathname + search)).status).to.equal(200)
    expect(await alice.must('GET', '/_matrix/client/v3/pushers')).to.deep.equal({ pushers: [] })
  })

  it('come once, then rarely, and not for what has been read', async () => {
    await giveAddress(server, alice.userId)
    await alice.must('POST', '/_matrix/client/v3/pushers/set', { body: PUSHER })
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const read = await bob.sendText(roomId, 'read in time')
    await alice.must(
      'POST',
      `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/receipt/m.read/${read}`,
      {
        body: {},
      },
    )
    await bob.sendText(roomId, 'first')
    await advanceUntil(clock, smtp, 1)
    expect(smtp.mails[0]?.text).not.to.include('read in time')
    const sent = clock.now()
    await bob.sendText(roomId, 'second')
    await advanceUntil(clock, smtp, 2)
    // The clock goes on while mails are written.
    expect(clock.now() - sent).to.be.within(10 * MINUTE_MS, 180 * MINUTE_MS)
    const again = clock.now()
    await bob.sendText(roomId, 'third')
    await advanceUntil(clock, smtp, 3)
    expect(clock.now() - again).to.be.at.least(23 * 60 * MINUTE_MS)
  })

  it('are not sent to addresses of others', async () => {
    const response = await alice.request('POST', '/_matrix/client/v3/pushers/set', { body: PUSHER })
    expect([response.status, response.body['errcode']]).to.deep.equal([400, 'M_THREEPID_NOT_FOUND'])
  })
})
