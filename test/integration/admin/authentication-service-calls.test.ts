import { expect } from 'chai'
import type { UserId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { EncryptingDevice } from '../../support/encryption.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { FakeAuthenticationService, SERVICE_SECRET } from '../../support/fake-authentication-service.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const MAS = '/_synapse/mas'

/** Every call, with what a good one needs beside the user. */
const CALLS: readonly (readonly ['GET' | 'POST', string, JsonObject])[] = [
  ['GET', 'query_user', {}],
  ['GET', 'is_localpart_available', {}],
  ['POST', 'provision_user', {}],
  ['POST', 'delete_user', { erase: false }],
  ['POST', 'reactivate_user', {}],
  ['POST', 'set_displayname', { displayname: 'A' }],
  ['POST', 'unset_displayname', {}],
  ['POST', 'allow_cross_signing_reset', {}],
  ['POST', 'upsert_device', { device_id: 'D' }],
  ['POST', 'delete_device', { device_id: 'D' }],
  ['POST', 'update_device_display_name', { device_id: 'D', display_name: 'N' }],
  ['POST', 'sync_devices', { devices: ['D'] }],
]

forEachServerDatabase('the calls of an authentication service', (database) => {
  let service: FakeAuthenticationService
  let bridge: FakeAppservice
  let hs: TestHomeserver

  before(async () => {
    service = await FakeAuthenticationService.start()
    bridge = await FakeAppservice.start()
    hs = await startHomeserver({
      database,
      config: {
        ...service.config,
        app_service_config_files: [bridge.file],
        email: { notif_from: 'hs <hs@hs.test>', enable_notifs: true, client_base_url: 'https://app.test' },
        // The service is not bound by what binds users.
        enable_set_displayname: false,
        enable_set_avatar_url: false,
      },
    })
  })
  after(async () => {
    await hs[Symbol.asyncDispose]()
    await bridge[Symbol.asyncDispose]()
    await service[Symbol.asyncDispose]()
  })

  function as(accessToken: string): MatrixClient {
    return hs.client().withSession({ userId: '', deviceId: '', accessToken })
  }

  /** Status, errcode, and the body. */
  async function call(method: 'GET' | 'POST', name: string, values: JsonObject, token = SERVICE_SECRET) {
    const given = method === 'GET' ? { query: values as Record<string, string> } : { body: values }
    const { status, body, text } = await as(token).request(method, `${MAS}/${name}`, given)
    return { status, errcode: body['errcode'], body, text }
  }

  const post = (name: string, values: JsonObject) => call('POST', name, values)

  async function expectStatus(status: number, name: string, values: JsonObject): Promise<void> {
    const answer = await post(name, values)
    expect([answer.status, answer.body], `${name} ${JSON.stringify(values)}`).to.deep.equal([status, {}])
  }

  async function query(localpart: string): Promise<JsonObject> {
    return (await call('GET', 'query_user', { localpart })).body
  }

  async function devicesOf(localpart: string): Promise<Record<string, unknown>> {
    const devices = await hs.server.services.devices.list(`@${localpart}:hs.test` as UserId)
    return Object.fromEntries(devices.map(({ deviceId, displayName }) => [deviceId, displayName]))
  }

  async function emailsOf(localpart: string): Promise<string[]> {
    const threepids = await hs.server.services.threepids.list(`@${localpart}:hs.test` as UserId)
    return threepids.map(({ medium, address }) => `${medium} ${address}`)
  }

  for (const [method, name, more] of CALLS) {
    it(`are for the service alone: ${name}`, async () => {
      await expectStatus(201, 'provision_user', { localpart: `mallory_${name}` })
      await post('upsert_device', { localpart: `mallory_${name}`, device_id: 'D' })
      const admin = service.issue(`mallory_${name}`, 'D', 'urn:synapse:admin:*')
      await as(admin).must('GET', `${V3}/account/whoami`)
      const values = { ...more, localpart: `mallory_${name}` }
      const others = [admin, 'token_of_the_service', `${SERVICE_SECRET}x`, SERVICE_SECRET.slice(1), 'x']
      for (const token of others) {
        const { status, body } = await call(method, name, values, token)
        expect([status, body], token).to.deep.equal([
          403,
          { errcode: 'M_UNKNOWN', error: 'This endpoint must only be called by MAS' },
        ])
      }
      const without = await hs
        .client()
        .request(method, `${MAS}/${name}`, method === 'GET' ? {} : { body: {} })
      expect([without.status, without.body['errcode']]).to.deep.equal([401, 'M_MISSING_TOKEN'])
      expect(await query(`mallory_${name}`)).to.include({ is_deactivated: false })
    })

    it(`are refused where they say nothing of whom: ${name}`, async () => {
      expect(await call(method, name, more)).to.include({ status: 400, errcode: 'M_MISSING_PARAM' })
      if (method === 'GET') return
      for (const localpart of [5, null, ['a'], {}]) {
        expect((await post(name, { ...more, localpart })).status, JSON.stringify(localpart)).to.equal(400)
      }
      expect((await as(SERVICE_SECRET).request('POST', `${MAS}/${name}`, { rawBody: '{' })).status).to.equal(
        400,
      )
      const withoutRest = await post(name, { localpart: `mallory_${name}` })
      if (Object.keys(more).length > 0) expect(withoutRest.status).to.equal(400)
    })

    if (name !== 'provision_user' && name !== 'is_localpart_available') {
      it(`find nobody who is not there: ${name}`, async () => {
        for (const localpart of [
          'nobody',
          'a:b',
          '@nobody',
          'nobody:hs.test',
          'NOBODY',
          '..',
          '%',
          '',
          'x'.repeat(5000),
        ]) {
          const answer = await call(method, name, { ...more, localpart })
          expect(answer, localpart).to.include({ status: 404, errcode: 'M_NOT_FOUND' })
        }
      })
    }
  }

  it('ask who somebody is', async () => {
    await expectStatus(201, 'provision_user', { localpart: 'asked', set_displayname: 'Somebody' })
    expect(await query('asked')).to.deep.equal({
      user_id: '@asked:hs.test',
      display_name: 'Somebody',
      avatar_url: null,
      is_suspended: false,
      is_deactivated: false,
    })
    await hs.server.services.accountAdministration.setFlag('@asked:hs.test' as UserId, 'isSuspended', true)
    expect(await query('asked')).to.include({ is_suspended: true })
  })

  it('ask which names are free', async () => {
    await post('provision_user', { localpart: 'taken' })
    const cases: [string, number, string | undefined][] = [
      ['free', 200, undefined],
      ['taken', 400, 'M_USER_IN_USE'],
      ['FREE', 400, 'M_INVALID_USERNAME'],
      ['frée', 400, 'M_INVALID_USERNAME'],
      ['a b', 400, 'M_INVALID_USERNAME'],
      ['a:hs.test', 400, 'M_INVALID_USERNAME'],
      ['12345', 400, 'M_INVALID_USERNAME'],
      ['_hidden', 400, 'M_INVALID_USERNAME'],
      ['', 400, 'M_INVALID_USERNAME'],
      ['x'.repeat(250), 400, 'M_INVALID_USERNAME'],
      // The service takes other errors for failures.
      ['x'.repeat(5000), 400, 'M_INVALID_USERNAME'],
      ['_bridge_x', 400, 'M_INVALID_USERNAME'],
      ['bridge_bot', 400, 'M_EXCLUSIVE'],
    ]
    for (const [localpart, status, errcode] of cases) {
      const answer = await call('GET', 'is_localpart_available', { localpart })
      expect([answer.status, answer.errcode], localpart).to.deep.equal([status, errcode])
    }
  })

  it('make accounts, and change them', async () => {
    const localpart = 'made'
    await expectStatus(201, 'provision_user', {
      localpart,
      set_displayname: 'Made',
      set_avatar_url: 'mxc://hs.test/made',
      set_emails: ['Made@Example.test', 'made@example.test', 'second@example.test'],
      locked: true,
    })
    expect(await query(localpart)).to.include({ display_name: 'Made', avatar_url: 'mxc://hs.test/made' })
    expect(await emailsOf(localpart)).to.deep.equal(['email made@example.test', 'email second@example.test'])
    const { accountOverviews } = hs.server.services
    expect(await accountOverviews.show('@made:hs.test' as UserId)).to.include({ isLocked: true })
    // Again, as after an answer that was lost.
    await expectStatus(200, 'provision_user', { localpart, set_displayname: 'Made' })
    expect(await query(localpart)).to.include({ display_name: 'Made', avatar_url: 'mxc://hs.test/made' })
    expect(await accountOverviews.show('@made:hs.test' as UserId)).to.include({ isLocked: true })
    await expectStatus(200, 'provision_user', {
      localpart,
      set_displayname: 'Other',
      unset_avatar_url: true,
      set_emails: ['second@example.test', 'third@example.test'],
      locked: false,
    })
    expect(await query(localpart)).to.include({ display_name: 'Other', avatar_url: null })
    expect(await emailsOf(localpart)).to.deep.equal(['email second@example.test', 'email third@example.test'])
    expect(await accountOverviews.show('@made:hs.test' as UserId)).to.include({ isLocked: false })
    await expectStatus(200, 'provision_user', { localpart, unset_displayname: true, unset_emails: true })
    expect(await query(localpart)).to.include({ display_name: null })
    expect(await emailsOf(localpart)).to.deep.equal([])
    // Nothing stays as it is by null.
    await expectStatus(200, 'provision_user', { localpart, set_displayname: null, locked: null })
  })

  it('make no accounts of bad names, and none twice', async () => {
    for (const [localpart, errcode] of [
      ['Upper', 'M_INVALID_USERNAME'],
      ['a b', 'M_INVALID_USERNAME'],
      ['a:b', 'M_INVALID_USERNAME'],
      ['4711', 'M_INVALID_USERNAME'],
      ['', 'M_INVALID_USERNAME'],
      ['x'.repeat(5000), 'M_INVALID_USERNAME'],
      ['bridge_bot2:hs.test', 'M_INVALID_USERNAME'],
    ] as const) {
      expect(await post('provision_user', { localpart }), localpart).to.include({ status: 400, errcode })
    }
    const wish = { localpart: 'racing', set_displayname: 'R' }
    const answers = await Promise.all([1, 2, 3].map(() => post('provision_user', wish)))
    expect(answers.filter(({ status }) => status === 201)).to.have.length(1)
    expect((await post('provision_user', wish)).status).to.equal(200)
  })

  it('are refused where they contradict themselves or say too much', async () => {
    await post('provision_user', { localpart: 'torn' })
    const cases: JsonObject[] = [
      { unset_displayname: true, set_displayname: 'x' },
      { unset_displayname: false, set_displayname: 'x' },
      { unset_avatar_url: true, set_avatar_url: 'mxc://a/b' },
      { unset_emails: true, set_emails: [] },
      { set_displayname: 5 },
      { set_displayname: 'x'.repeat(257) },
      { set_avatar_url: 'x'.repeat(1001) },
      { set_emails: 'a@b.test' },
      { set_emails: [5] },
      { set_emails: Array.from({ length: 101 }, (_, index) => `${index}@b.test`) },
      { locked: 'yes' },
      { unset_emails: 1 },
    ]
    for (const more of cases) {
      expect(
        (await post('provision_user', { localpart: 'torn', ...more })).status,
        JSON.stringify(more),
      ).to.equal(400)
    }
    expect(await query('torn')).to.include({ display_name: 'torn', avatar_url: null })
  })

  it('give an address to whom the service says, and end what was sent there', async () => {
    await post('provision_user', { localpart: 'first_owner', set_emails: ['moving@example.test'] })
    await post('provision_user', { localpart: 'second_owner', set_emails: ['staying@example.test'] })
    const notified = async (localpart: string, address: string) => {
      await post('upsert_device', { localpart, device_id: 'D' })
      const user = as(service.issue(localpart, 'D'))
      const pusher = { kind: 'email', app_id: 'm.email', app_display_name: 'A', device_display_name: 'D' }
      const body = { ...pusher, pushkey: address, lang: 'en', data: {} }
      await user.must('POST', `${V3}/pushers/set`, { body })
      return async () => ((await user.must('GET', `${V3}/pushers`))['pushers'] as JsonObject[]).length
    }
    const ofFirst = await notified('first_owner', 'moving@example.test')
    const ofSecond = await notified('second_owner', 'staying@example.test')
    await post('provision_user', {
      localpart: 'second_owner',
      set_emails: ['MOVING@example.test', 'staying@example.test'],
    })
    expect(await emailsOf('first_owner')).to.deep.equal([])
    expect(await emailsOf('second_owner')).to.deep.equal([
      'email moving@example.test',
      'email staying@example.test',
    ])
    expect([await ofFirst(), await ofSecond()]).to.deep.equal([0, 1])
    await post('provision_user', { localpart: 'second_owner', set_emails: ['moving@example.test'] })
    expect(await ofSecond()).to.equal(0)
  })

  it('set display names, also where users may not', async () => {
    const localpart = 'named'
    await post('provision_user', { localpart })
    await post('upsert_device', { localpart, device_id: 'D' })
    await expectStatus(200, 'set_displayname', { localpart, displayname: 'New name' })
    expect(await query(localpart)).to.include({ display_name: 'New name' })
    const user = as(service.issue(localpart, 'D'))
    const own = await user.request('PUT', `${V3}/profile/@named:hs.test/displayname`, {
      body: { displayname: 'Mine' },
    })
    expect(own.status).to.equal(403)
    await expectStatus(200, 'unset_displayname', { localpart })
    expect(await query(localpart)).to.include({ display_name: null })
    expect((await post('set_displayname', { localpart, displayname: 'x'.repeat(257) })).status).to.equal(400)
  })

  it('end accounts, and begin them again', async () => {
    const localpart = 'leaving'
    await post('provision_user', { localpart, set_displayname: 'L', set_emails: ['l@example.test'] })
    await post('upsert_device', { localpart, device_id: 'D' })
    const user = as(service.issue(localpart, 'D'))
    await user.createRoom({ preset: 'public_chat' })
    await expectStatus(200, 'delete_user', { localpart, erase: true })
    await expectStatus(200, 'delete_user', { localpart, erase: true })
    await hs.server.services.accountDeactivation.settle()
    expect(await query(localpart)).to.include({ is_deactivated: true, display_name: null })
    expect(await devicesOf(localpart)).to.deep.equal({})
    expect(await emailsOf(localpart)).to.deep.equal([])
    expect(await hs.server.services.accountOverviews.show('@leaving:hs.test' as UserId)).to.include({
      isErased: true,
    })
    await expectStatus(200, 'reactivate_user', { localpart })
    await expectStatus(200, 'reactivate_user', { localpart })
    expect(await query(localpart)).to.include({ is_deactivated: false })
    expect(await hs.server.services.accountOverviews.show('@leaving:hs.test' as UserId)).to.include({
      isErased: false,
    })
    await post('upsert_device', { localpart, device_id: 'E' })
    const back = as(service.issue(localpart, 'E'))
    expect(await back.must('GET', `${V3}/joined_rooms`)).to.deep.equal({ joined_rooms: [] })
    await back.createRoom()
  })

  it('make devices, rename and delete them', async () => {
    const localpart = 'devices'
    await post('provision_user', { localpart })
    await expectStatus(201, 'upsert_device', { localpart, device_id: 'A', display_name: 'One' })
    await expectStatus(200, 'upsert_device', { localpart, device_id: 'A' })
    expect(await devicesOf(localpart)).to.deep.equal({ A: 'One' })
    await expectStatus(200, 'upsert_device', { localpart, device_id: 'A', display_name: 'x'.repeat(200) })
    expect(await devicesOf(localpart)).to.deep.equal({ A: 'x'.repeat(100) })
    // No scope could hold this name.
    await expectStatus(201, 'upsert_device', { localpart, device_id: 'B b/ü', display_name: null })
    await expectStatus(200, 'update_device_display_name', { localpart, device_id: 'A', display_name: 'Two' })
    expect(await devicesOf(localpart)).to.deep.equal({ A: 'Two', 'B b/ü': undefined })
    const missing = { localpart, device_id: 'Z', display_name: 'x' }
    expect(await post('update_device_display_name', missing)).to.include({ status: 404 })
    const long = { localpart, device_id: 'A', display_name: 'x'.repeat(101) }
    expect(await post('update_device_display_name', long)).to.include({ errcode: 'M_TOO_LARGE' })
    for (const device_id of ['', 'x'.repeat(256), 5, 'a\0']) {
      expect((await post('upsert_device', { localpart, device_id })).status).to.equal(400)
    }
    for (let i = 0; i < 2; i++) {
      const deleted = await post('delete_device', { localpart, device_id: 'A' })
      expect([deleted.status, deleted.text]).to.deep.equal([204, ''])
    }
    expect(Object.keys(await devicesOf(localpart))).to.deep.equal(['B b/ü'])
  })

  it('bring a list of devices about, but for the one that is put away', async () => {
    const localpart = 'synced'
    await post('provision_user', { localpart })
    await post('upsert_device', { localpart, device_id: 'KEPT', display_name: 'Kept' })
    await post('upsert_device', { localpart, device_id: 'GONE' })
    const kept = as(service.issue(localpart, 'KEPT'))
    const gone = as(service.issue(localpart, 'GONE'))
    await kept.must('GET', `${V3}/account/whoami`)
    await gone.must('GET', `${V3}/account/whoami`)
    const device = new EncryptingDevice({ userId: '@synced:hs.test', deviceId: 'AWAY' })
    await kept.must('PUT', '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device', {
      body: {
        device_id: 'AWAY',
        device_data: { algorithm: 'org.matrix.msc3814.v2' },
        initial_device_display_name: 'Away',
        device_keys: device.deviceKeys,
        one_time_keys: device.oneTimeKeys(['a']),
      },
    })
    await expectStatus(200, 'sync_devices', { localpart, devices: ['KEPT', 'NEW', 'NEW'] })
    expect(await devicesOf(localpart)).to.deep.equal({ AWAY: 'Away', KEPT: 'Kept', NEW: undefined })
    await kept.must('GET', `${V3}/account/whoami`)
    expect((await gone.request('GET', `${V3}/account/whoami`)).status).to.equal(401)
    const many = Array.from({ length: 3000 }, (_, index) => `D${String(index).padStart(4, '0')}`)
    await expectStatus(200, 'sync_devices', { localpart, devices: many })
    expect(Object.keys(await devicesOf(localpart))).to.have.members(['AWAY', ...many])
    await expectStatus(200, 'sync_devices', { localpart, devices: [] })
    expect(await devicesOf(localpart)).to.deep.equal({ AWAY: 'Away' })
    for (const devices of ['A', [5], [''], ['x'.repeat(256)], Array.from({ length: 10_001 }, String)]) {
      expect((await post('sync_devices', { localpart, devices })).status).to.equal(400)
    }
  })

  it('allow nothing to somebody without keys', async () => {
    await post('provision_user', { localpart: 'keyless' })
    await expectStatus(200, 'allow_cross_signing_reset', { localpart: 'keyless' })
  })
})
