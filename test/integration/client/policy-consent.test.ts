import { mkdirSync } from 'node:fs'
import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type ClientResponse, type MatrixClient } from '../../support/matrix-client.js'
import { useScratch } from '../../support/scratch.js'

const V3 = '/_matrix/client/v3'
/** As the templates that operators have been given for years. */
const TEMPLATE = `<p>Be kind</p>
{% if not public_version %}{% if has_consented %}<p>You agreed</p>{% else %}<form method="post" action="consent">
<input name="v" value="{{ version }}"><input name="u" value="{{ user }}"><input name="h" value="{{ userhmac }}">
</form>{% endif %}{% endif %}`

forEachServerDatabase('agreeing to the policy of a server', (database) => {
  const scratch = useScratch()

  async function start(more: JsonObject = {}, others: Record<string, unknown> = {}): Promise<TestHomeserver> {
    mkdirSync(scratch.path('en'), { recursive: true })
    scratch.write('en/1.0.html', TEMPLATE)
    const resources = [{ names: ['client', 'consent'] }]
    return startHomeserver({
      database,
      config: {
        listeners: [{ port: 0, type: 'http', bind_addresses: ['127.0.0.1'], resources }],
        public_baseurl: 'https://hs.test/',
        form_secret: 'secret',
        server_notices: { system_mxid_localpart: 'notices' },
        user_consent: { version: '1.0', template_dir: scratch.directory, ...more },
        ...others,
      },
    })
  }
  const BLOCKING = { block_events_error: 'Agree first: %(consent_uri)s' }
  const NOTICE = {
    server_notice_content: {
      msgtype: 'm.text',
      body: 'Read %(consent_uri)s',
      format: { of: '%(consent_uri)s' },
    },
  }

  function create(client: MatrixClient): Promise<ClientResponse> {
    return client.request('POST', `${V3}/createRoom`, { body: {} })
  }

  /** The page of a link, or what the form on it answers. */
  function open(hs: TestHomeserver, uri: string, form?: Record<string, string>): Promise<Response> {
    const { pathname, search } = new URL(uri)
    const sent = form && { method: 'POST', body: new URLSearchParams(form) }
    return fetch(`${hs.url}${pathname}${form ? '' : search}`, sent)
  }

  function fieldsOf(page: string): Record<string, string> {
    return Object.fromEntries([...page.matchAll(/name="(\w)" value="([^"]*)"/g)].map(([, k, v]) => [k!, v!]))
  }

  it('comes before saying anything', async () => {
    await using hs = await start(BLOCKING)
    const alice = await hs.register('alice')
    const refused = await create(alice)
    const uri = refused.body['consent_uri'] as string
    expect([refused.status, refused.body['errcode'], refused.body['error']]).to.deep.equal([
      403,
      'M_CONSENT_NOT_GIVEN',
      `Agree first: ${uri}`,
    ])
    const page = await (await open(hs, uri)).text()
    const agreed = await open(hs, uri, fieldsOf(page))
    expect([agreed.status, (await agreed.text()).includes('You have agreed')]).to.deep.equal([200, true])
    expect(await (await open(hs, uri)).text()).to.include('You agreed')
    expect((await create(alice)).status).to.equal(200)
  })

  it('is asked of everybody who makes events, at every endpoint, but not of who leaves', async () => {
    await using hs = await start(BLOCKING)
    const bot = await hs.register('bot', { userType: 'bot' })
    const alice = await hs.register('alice')
    const roomId = await bot.createRoom({ preset: 'public_chat', invite: [alice.userId] })
    const eventId = await bot.sendText(roomId, 'hello')
    const room = path`/_matrix/client/v3/rooms/${roomId}`
    const user_id = bot.userId
    const requests: [string, string, JsonObject][] = [
      ['POST', `${room}/join`, {}],
      ['POST', path`/_matrix/client/v3/join/${roomId}`, {}],
      ['PUT', `${room}/send/m.room.message/1`, { body: 'a', msgtype: 'm.text' }],
      ['POST', `${room}/send/m.room.message`, { body: 'a', msgtype: 'm.text' }],
      ['PUT', `${room}/state/m.room.topic/`, { topic: 'a' }],
      ['PUT', `${room}/redact/${encodeURIComponent(eventId)}/1`, {}],
      ['POST', `${room}/invite`, { user_id }],
      ['POST', `${room}/kick`, { user_id }],
      ['POST', `${room}/ban`, { user_id }],
      ['POST', `${room}/unban`, { user_id }],
      ['POST', `${room}/upgrade`, { new_version: '11' }],
      ['POST', path`/_matrix/client/v3/knock/${roomId}`, {}],
    ]
    for (const [method, url, body] of requests) {
      const answer = await alice.request(method, url, { body })
      expect([answer.status, answer.body['errcode']], url).to.deep.equal([403, 'M_CONSENT_NOT_GIVEN'])
    }
    expect((await alice.request('POST', `${room}/leave`, { body: {} })).status).to.equal(200)
    expect(
      (
        await alice.request('PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`, {
          body: { displayname: 'Alice' },
        })
      ).status,
    ).to.equal(200)
  })

  it('is not asked of application services', async () => {
    await using service = await FakeAppservice.start()
    await using hs = await start(BLOCKING, { app_service_config_files: [service.file] })
    const sender = service.client(hs.url)
    expect((await create(sender)).status).to.equal(200)
  })

  it('takes the link of the user only, for versions that there are', async () => {
    await using hs = await start(BLOCKING)
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const uri = new URL((await create(alice)).body['consent_uri'] as string)
    const [u, h] = [uri.searchParams.get('u')!, uri.searchParams.get('h')!]
    const form = { v: '1.0', u, h }
    for (const [fields, status] of [
      [{ ...form, u: 'bob' }, 403],
      [{ ...form, h: h.slice(1) }, 403],
      [{ ...form, h: '' }, 403],
      [{ ...form, v: '2.0' }, 404],
      [{ ...form, v: '../1.0' }, 404],
      [{ v: '1.0', h }, 400],
      [{ u, h }, 400],
    ] as [Record<string, string>, number][])
      expect((await open(hs, uri.href, fields)).status, JSON.stringify(fields)).to.equal(status)
    uri.searchParams.set('u', 'nobody')
    expect((await open(hs, uri.href)).status).to.equal(403)
    for (const client of [alice, bob]) expect((await create(client)).status).to.equal(403)
  })

  it('is told of once, in a room that may be entered before', async () => {
    await using hs = await start({ ...BLOCKING, ...NOTICE })
    const alice = await hs.register('alice')
    let since = dig(await alice.sync({}), 'next_batch') as string
    let invited: string[] = []
    while (invited.length === 0) {
      const answer = await alice.sync({ since, timeout: 10_000 })
      since = dig(answer, 'next_batch') as string
      invited = Object.keys((dig(answer, 'rooms', 'invite') ?? {}) as object)
    }
    const roomId = invited[0]!
    expect(
      (await alice.request('POST', path`/_matrix/client/v3/join/${roomId}`, { body: {} })).status,
    ).to.equal(200)
    const uri = (await create(alice)).body['consent_uri'] as string
    const said = async (): Promise<unknown[]> =>
      eventsAt(await alice.messages(roomId, { dir: 'b', limit: 50 }), 'chunk')
        .filter(({ type }) => type === 'm.room.message')
        .map(({ content }) => content)
    const notice = { msgtype: 'm.text', body: `Read ${uri}`, format: { of: uri } }
    while ((await said()).length === 0) await alice.sync({ since, timeout: 1000 })
    expect(await said()).to.deep.equal([notice])
    const admin = await hs.register('admin', { isAdmin: true, userType: 'bot' })
    const account = await admin.must('GET', path`/_synapse/admin/v2/users/${alice.userId}`)
    expect(account).to.include({ consent_server_notice_sent: '1.0', consent_version: null })
    await alice.sync({})
    expect(await said()).to.deep.equal([notice])
  })
})
