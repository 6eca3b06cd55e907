import { expect } from 'chai'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

const LISTENERS = { listeners: [{ port: 8008 }] }

describe('registration', () => {
  it('is closed unless it is opened', async () => {
    const { config } = await loadKeys({})
    expect(config.registration.enabled).to.equal(false)
    expect(config.registration.sharedSecret).to.equal(undefined)
  })

  it('is not opened to everybody by mistake', async () => {
    expect((await errorsOf({ enable_registration: true }))[0]).to.match(
      /^enable_registration: registration without verification attracts spammers/,
    )
    const { config } = await loadKeys({
      enable_registration: true,
      enable_registration_without_verification: true,
    })
    expect(config.registration.enabled).to.equal(true)
  })

  it('may need tokens', async () => {
    const { config } = await loadKeys({ enable_registration: true, registration_requires_token: true })
    expect(config.registration).to.include({
      enabled: true,
      requiresToken: true,
      unavailableStage: undefined,
    })
  })

  it('may need a puzzle, with both of its keys', async () => {
    const keys = { enable_registration: true, enable_registration_captcha: true }
    expect((await errorsOf(keys)).join('\n'))
      .to.contain('recaptcha_public_key: is missing')
      .and.contain('recaptcha_private_key: is missing')
    const { config } = await loadKeys({ ...keys, recaptcha_public_key: 'a', recaptcha_private_key: 'b' })
    expect(config.registration.unavailableStage).to.equal(undefined)
    expect(config.captcha).to.deep.equal({
      isRequired: true,
      service: {
        publicKey: 'a',
        secret: 'b',
        url: 'https://www.recaptcha.net/recaptcha/api/siteverify',
      },
    })
    expect((await errorsOf({ recaptcha_siteverify_api: 'nowhere' }))[0]).to.contain('expected a URL')
  })

  it('says that nobody can register where a stage is demanded that is not there', async () => {
    const keys = { ...LISTENERS, enable_registration: true, registrations_require_3pid: ['email'] }
    expect((await loadKeys(keys)).config.registration.unavailableStage).to.equal('m.login.email.identity')
    expect((await warningsOf(keys)).join('\n')).to.contain('nobody can register')
    const { registration } = (await loadKeys({ ...keys, email: { notif_from: 'noreply@example.org' } }))
      .config
    expect(registration).to.include({ unavailableStage: undefined, requiresEmail: true })
  })

  it('may allow addresses of some kinds alone', async () => {
    const allowed = [{ medium: 'email', pattern: '[^@]*@example\\.org$' }]
    const { registration } = (await loadKeys({ allowed_local_3pids: allowed })).config
    const [pattern] = registration.allowedThreepids ?? []
    expect(
      ['a@example.org', 'a@example.org.evil', 'b@c@example.org'].map((a) => pattern?.matches(a)),
    ).to.deep.equal([true, false, false])
    const broken = { allowed_local_3pids: [{ medium: 'email', pattern: '(' }] }
    expect((await errorsOf(broken))[0]).to.contain('allowed_local_3pids[0].pattern')
  })

  it('needs somebody who invites to rooms that are not public', async () => {
    const keys = { auto_join_rooms: ['#a:example.org'], autocreate_auto_join_room_preset: 'private_chat' }
    expect((await errorsOf(keys))[0]).to.contain('auto_join_mxid_localpart')
    const { config } = await loadKeys({ ...keys, auto_join_mxid_localpart: 'host' })
    expect(config.registration.autoJoin).to.include({ preset: 'private_chat', inviterLocalpart: 'host' })
  })

  it('joins only rooms', async () => {
    expect(await errorsOf({ auto_join_rooms: ['#a:example.org', 'welcome'] })).to.deep.equal([
      'auto_join_rooms[1]: expected a room alias or room ID, got "welcome"',
    ])
  })
})
