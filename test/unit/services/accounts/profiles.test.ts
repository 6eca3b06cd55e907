import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { JsonObject, JsonValue } from '../../../../src/util/json.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('profiles', (open) => {
  let fixture: AccountFixture
  let alice: Requester

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
    alice = (await fixture.createUser('alice')).requester
  })

  const set = (field: string, value: JsonValue, requester = alice, userId = alice.userId): Promise<void> =>
    fixture.services.profiles.setField(requester, userId, { field, body: { [field]: value } })
  const get = (): Promise<JsonObject> => fixture.services.profiles.get(undefined, alice.userId)
  const refused = async (attempt: Promise<unknown>, errcode: string): Promise<void> => {
    expect(await rejection(attempt)).to.have.property('errcode', errcode)
  }

  it('have a name, an avatar and fields of all kinds', async () => {
    await set('displayname', 'Alice 🐈')
    await set('avatar_url', 'mxc://hs.test/abc')
    await set('m.tz', 'Europe/London')
    await set('org.example.job', { title: 'Cat', since: [2001] })
    await set('org.example.nothing', null)
    expect(await get()).to.deep.equal({
      displayname: 'Alice 🐈',
      avatar_url: 'mxc://hs.test/abc',
      'm.tz': 'Europe/London',
      'org.example.job': { title: 'Cat', since: [2001] },
      'org.example.nothing': null,
    })
    expect(await fixture.services.profiles.getField(undefined, alice.userId, 'displayname')).to.equal(
      'Alice 🐈',
    )
    expect(await fixture.services.profiles.getField(undefined, alice.userId, 'org.example.nothing')).to.equal(
      null,
    )
  })

  it('lose fields that are deleted or empty', async () => {
    await set('org.example.job', 'Cat')
    await set('avatar_url', 'mxc://hs.test/abc')
    await fixture.services.profiles.deleteField(alice, alice.userId, { field: 'org.example.job' })
    await fixture.services.profiles.deleteField(alice, alice.userId, { field: 'org.example.unknown' })
    await set('displayname', '')
    await set('avatar_url', '')
    expect(await get()).to.deep.equal({})
    const read = (field: string): Promise<unknown> =>
      fixture.services.profiles.getField(undefined, alice.userId, field)
    expect(await read('displayname')).to.equal(null)
    expect(await read('avatar_url')).to.equal(null)
    await refused(read('org.example.job'), 'M_NOT_FOUND')
  })

  it('tell others of each change, and of nothing else', async () => {
    await set('displayname', 'Alice')
    await set('displayname', 'Alice')
    await set('m.tz', 'Europe/London')
    expect(fixture.profileChanges.map(({ field, propagate }) => ({ field, propagate }))).to.deep.equal([
      { field: 'displayname', propagate: true },
      { field: 'm.tz', propagate: true },
    ])
    expect(fixture.profileChanges[0]?.profile.displayName).to.equal('Alice')
  })

  it('do not reach memberships where a client asks for that and may', async () => {
    const input = { field: 'displayname', body: { displayname: 'x' }, propagate: false }
    await fixture.services.profiles.setField(alice, alice.userId, input)
    expect(fixture.profileChanges.at(-1)?.propagate).to.equal(true)
    fixture = await createAccountServices(await open(), { profile: { mayInhibitPropagation: true } })
    await fixture.createUser('alice')
    await fixture.services.profiles.setField(alice, alice.userId, input)
    expect(fixture.profileChanges.at(-1)?.propagate).to.equal(false)
  })

  it('refuse keys and values that the specification does not allow', async () => {
    for (const field of ['', 'Upper', '1digit', '_x', 'with space', 'ünï', '.dot', '__proto__']) {
      await refused(set(field, 'x'), 'M_INVALID_PARAM')
    }
    await refused(set('x'.repeat(256), 'x'), 'M_KEY_TOO_LARGE')
    await set('x'.repeat(255), 'x')
    const { profiles } = fixture.services
    await refused(
      profiles.setField(alice, alice.userId, { field: 'm.tz', body: { other: 1 } }),
      'M_MISSING_PARAM',
    )
    await refused(
      profiles.setField(alice, alice.userId, { field: 'constructor', body: {} }),
      'M_MISSING_PARAM',
    )
    await refused(set('displayname', 1), 'M_BAD_JSON')
    await refused(set('displayname', null), 'M_BAD_JSON')
    await refused(set('avatar_url', {}), 'M_BAD_JSON')
    await refused(set('m.tz', 1), 'M_BAD_JSON')
    await refused(set('displayname', 'x'.repeat(257)), 'M_INVALID_PARAM')
    await set('displayname', '🐈'.repeat(256))
    await refused(set('avatar_url', `mxc://hs.test/${'x'.repeat(1000)}`), 'M_INVALID_PARAM')
    await set('avatar_url', '🐈'.repeat(1000))
  })

  it('take avatars that are no MXC URIs', async () => {
    for (const url of ['http://example.org/a.png', 'LemurLover', 'mxc://']) {
      await set('avatar_url', url)
      expect((await get())['avatar_url']).to.equal(url)
    }
  })

  it('stay below 64 KiB together', async () => {
    await set('org.example.a', 'x'.repeat(40_000))
    await refused(set('org.example.b', 'x'.repeat(40_000)), 'M_PROFILE_TOO_LARGE')
    await set('org.example.b', 'x'.repeat(20_000))
    await fixture.services.profiles.deleteField(alice, alice.userId, { field: 'org.example.a' })
  })

  it('are changed by their owner and administrators alone', async () => {
    const { requester: bob } = await fixture.createUser('bob')
    const { requester: admin } = await fixture.createUser('admin', { isAdmin: true })
    await refused(set('displayname', 'x', bob), 'M_FORBIDDEN')
    await refused(
      fixture.services.profiles.deleteField(bob, alice.userId, { field: 'displayname' }),
      'M_FORBIDDEN',
    )
    await set('displayname', 'Renamed', admin)
    expect(await get()).to.include({ displayname: 'Renamed' })
    const remote = '@alice:other.test' as UserId
    await refused(set('displayname', 'x', admin, remote), 'M_FORBIDDEN')
    await refused(set('displayname', 'x', admin, '@nobody:hs.test' as UserId), 'M_NOT_FOUND')
  })

  it('are not changed by suspended users; guests change their name only', async () => {
    await refused(set('displayname', 'x', { ...alice, isSuspended: true }), 'M_USER_SUSPENDED')
    const guest = { ...alice, isGuest: true }
    await refused(set('avatar_url', '', guest), 'M_GUEST_ACCESS_FORBIDDEN')
    await set('displayname', 'x', guest)
  })

  it('can be fixed, but for a first value', async () => {
    fixture = await createAccountServices(await open(), {
      profile: { maySetDisplayName: false, maySetAvatarUrl: false },
    })
    await fixture.createUser('alice')
    await refused(set('displayname', 'x'), 'M_FORBIDDEN')
    await set('avatar_url', 'mxc://hs.test/abc')
    await refused(set('avatar_url', 'mxc://hs.test/def'), 'M_FORBIDDEN')
    const { requester: admin } = await fixture.createUser('admin', { isAdmin: true })
    await set('displayname', 'x', admin)
    expect(fixture.services.serverDescription.listCapabilities({ isAdmin: false })).to.deep.include({
      'm.set_displayname': { enabled: false },
      'm.profile_fields': { enabled: true, disallowed: ['displayname', 'avatar_url'] },
    })
  })

  it('are shown to whom the configuration allows', async () => {
    await refused(fixture.services.profiles.get(undefined, '@nobody:hs.test' as UserId), 'M_NOT_FOUND')
    await refused(fixture.services.profiles.get(undefined, '@alice:other.test' as UserId), 'M_NOT_FOUND')
    fixture = await createAccountServices(await open(), {
      profile: { requireAuth: true, onlySharedRooms: true },
    })
    await fixture.createUser('alice')
    const { requester: bob } = await fixture.createUser('bob')
    const { profiles } = fixture.services
    await refused(profiles.get(undefined, alice.userId), 'M_MISSING_TOKEN')
    await refused(profiles.get(bob, alice.userId), 'M_FORBIDDEN')
    await refused(profiles.get(bob, '@nobody:hs.test' as UserId), 'M_FORBIDDEN')
    expect(await profiles.get(alice, alice.userId)).to.deep.equal({ displayname: 'alice' })
  })
})
