import { mkdirSync } from 'node:fs'
import { expect } from 'chai'
import { Templates } from '../../../../src/net/templates.js'
import { PolicyPages } from '../../../../src/services/accounts/policy-pages.js'
import { rejection } from '../../../support/rejection.js'
import { useScratch } from '../../../support/scratch.js'

const NOBODY = { version: undefined, user: undefined, signature: undefined }

describe('PolicyPages', () => {
  const scratch = useScratch()

  beforeEach(() => {
    mkdirSync(scratch.path('policies/en'), { recursive: true })
  })

  function pages(): PolicyPages {
    const templateDirectory = scratch.path('policies')
    const templates = new Templates({
      customDirectories: [templateDirectory],
      publicBaseUrl: 'https://hs.test/',
    })
    return new PolicyPages(templates, undefined, { policy: { version: '2.0', templateDirectory } })
  }

  it('are the templates of their version, which people read whom nobody knows', async () => {
    const form = '{% if not public_version %}<form>{{ user }}</form>{% endif %}'
    scratch.write('policies/en/1.0.html', `Old rules ${form}`)
    scratch.write('policies/en/2.0.html', `New rules {{ version }} ${form}`)
    expect(await pages().render(NOBODY)).to.equal('New rules 2.0 ')
    expect(await pages().render({ ...NOBODY, version: '1.0' })).to.equal('Old rules ')
  })

  it('are nothing else of the disk', async () => {
    scratch.write('policies/en/2.0.html', 'Rules')
    scratch.write('policies/secret.html', 'Secret')
    for (const version of ['3.0', '../secret', '..', '', 'notif_mail'])
      expect(await rejection(pages().render({ ...NOBODY, version })), version).to.have.property(
        'errcode',
        'M_NOT_FOUND',
      )
    const none = new PolicyPages({ render: () => Promise.reject(new Error('asked')) }, undefined, {
      policy: undefined,
    })
    expect(await rejection(none.render({ ...NOBODY, version: '1.0' }))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
  })
})
