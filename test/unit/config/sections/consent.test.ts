import { expect } from 'chai'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

const POLICY = { version: 1.5, template_dir: '/policies' }
const LISTENERS = { listeners: [{ port: 8008 }] }

describe('the policy that people agree to', () => {
  it('is none unless there is one, and need not be agreed to', async () => {
    expect((await loadKeys({})).config.consent.policy).to.equal(undefined)
    expect((await loadKeys({ user_consent: POLICY })).config.consent.policy).to.deep.equal({
      version: '1.5',
      name: 'Privacy Policy',
      templateDirectory: '/policies',
      isRequired: false,
      notice: undefined,
      tellsGuests: false,
      refusal: undefined,
    })
  })

  it('is a file in its directory', async () => {
    for (const version of ['', '../secret', 'a/b'])
      expect((await errorsOf({ user_consent: { ...POLICY, version } }))[0]).to.match(
        /^user_consent\.version: /,
      )
    expect((await errorsOf({ user_consent: { version: '1' } }))[0]).to.contain('user_consent.template_dir')
  })

  it('is told of by a link that is signed, and by whoever speaks for the server', async () => {
    const asking = { server_notice_content: { msgtype: 'm.text', body: 'Read %(consent_uri)s' } }
    const blocking = { block_events_error: 'Agree first: %(consent_uri)s' }
    const secret = { form_secret: 'secret' }
    const server_notices = { system_mxid_localpart: 'notices' }
    const errors = (more: object, others: object = {}) =>
      errorsOf({ ...others, user_consent: { ...POLICY, ...more } })
    expect((await errors(blocking))[0]).to.match(/^user_consent\.block_events_error: needs form_secret/)
    expect((await errors(asking, { server_notices }))[0]).to.match(
      /^user_consent\.server_notice_content: needs form_secret/,
    )
    expect((await errors(asking, secret))[0]).to.contain('needs server_notices')
    const empty = { server_notice_content: { msgtype: 'm.text' } }
    expect((await errors(empty, { ...secret, server_notices }))[0]).to.contain('needs a body')
    const { policy } = (
      await loadKeys({ ...secret, server_notices, user_consent: { ...POLICY, ...asking, ...blocking } })
    ).config.consent
    expect(policy).to.deep.include({
      notice: asking.server_notice_content,
      refusal: blocking.block_events_error,
      tellsGuests: false,
    })
    expect(
      await warningsOf({ ...LISTENERS, ...secret, user_consent: { ...POLICY, ...blocking } }),
    ).to.deep.equal([])
  })
})
