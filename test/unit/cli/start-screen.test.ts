import { expect } from 'chai'
import type { CheckedConfig } from '../../../src/cli/check-config.js'
import { describeStart } from '../../../src/cli/start-screen.js'
import { loadKeys } from '../../support/load-config.js'

async function checked(keys: object): Promise<CheckedConfig> {
  const { config, warnings } = await loadKeys(keys)
  return { config, warnings, log: { level: 'info', file: '/var/log/mxhs.log' } }
}

const WHERE = {
  addresses: [{ url: 'http://127.0.0.1:8008' }, { path: '/run/mxhs.sock' }],
  paths: ['a b.yaml', 'conf.d'],
  version: '1.2.3',
}

describe('describeStart', () => {
  it('says where the server listens, where things are, and how the first user is made', async () => {
    const screen = describeStart(await checked({ registration_shared_secret: 'hidden' }), WHERE)
    expect(screen).to.contain('mxhs 1.2.3 serves example.org')
    expect(screen).to.contain('http://127.0.0.1:8008').and.contain('/run/mxhs.sock')
    expect(screen).to.contain('SQLite, homeserver.db').and.contain('/var/log/mxhs.log')
    expect(screen).to.contain("register-user --admin -c 'a b.yaml' -c conf.d")
    expect(screen).to.not.contain('hidden')
    expect(screen.split('\n').length).to.be.at.most(24)
  })

  it('does not promise what needs a secret where there is none', async () => {
    expect(describeStart(await checked({}), WHERE)).to.not.contain('register-user')
    const delegated = {
      registration_shared_secret: 'hidden',
      matrix_authentication_service: { enabled: true, secret: 's' },
    }
    expect(describeStart(await checked(delegated), WHERE)).to.not.contain('register-user')
  })
})
