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
    })
  })

  it('is a file in its directory', async () => {
    for (const version of ['', '../secret', 'a/b'])
      expect((await errorsOf({ user_consent: { ...POLICY, version } }))[0]).to.match(
        /^user_consent\.version: /,
      )
    expect((await errorsOf({ user_consent: { version: '1' } }))[0]).to.contain('user_consent.template_dir')
  })

  it('does not keep people from sending yet, which is said', async () => {
    const user_consent = { ...POLICY, require_at_registration: true, block_events_error: 'Agree first' }
    expect(await warningsOf({ ...LISTENERS, user_consent: POLICY })).to.deep.equal([])
    expect((await warningsOf({ ...LISTENERS, user_consent })).join('\n')).to.contain('block_events_error')
  })
})
