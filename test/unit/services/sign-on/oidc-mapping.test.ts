import { expect } from 'chai'
import { OidcMapping } from '../../../../src/services/sign-on/oidc-mapping.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { testConfig } from '../../../support/homeserver.js'
import { rejection } from '../../../support/rejection.js'

function mappingOf(config: JsonObject, more: JsonObject = {}): OidcMapping {
  const provider = { idp_id: 'c', idp_name: 'C', issuer: 'https://c.test', client_id: 'x', ...more }
  const oidc_providers = [{ ...provider, user_mapping_provider: { config } }]
  return new OidcMapping({
    config: testConfig({ oidc_providers }).oidc.providers[0]!,
    onWarning: () => undefined,
  })
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return ((await rejection(promise)) as { code?: unknown }).code
}

describe('OidcMapping', () => {
  it('makes of claims what the templates say', async () => {
    const mapping = mappingOf({
      subject_template: '{{ user.ids[0] }}:{{ user["https://c.test/id"] }}',
      localpart_template: '{{ user.email | localpart_from_email | lower }}',
      display_name_template: '{% if user.first %}{{ user.first }} {{ user.last }}{% endif %}',
      email_template: '{{ user.email }}',
      picture_claim: 'avatar',
      confirm_localpart: true,
      extra_attributes: { role: '{{ user.role }}', none: '{{ user.none }}' },
    })
    const claims = {
      ids: ['a'],
      'https://c.test/id': 7,
      email: 'Alice.B@c.test',
      first: ' Alice',
      last: '<B>',
      avatar: 'https://c.test/a.png',
      role: 'it',
    }
    expect(await mapping.identityOf(claims)).to.deep.equal({
      externalId: 'a:7',
      localpart: 'alice.b',
      confirmsLocalpart: true,
      displayName: 'Alice <B>',
      emails: ['Alice.B@c.test'],
      pictureUrl: 'https://c.test/a.png',
      extraAttributes: { role: 'it' },
    })
  })

  it('takes nobody for somebody else whose claims are missing or odd', async () => {
    const mapping = mappingOf({ localpart_template: '{{ user.name }}' })
    const odd: JsonObject[] = [
      {},
      { sub: null },
      { sub: '' },
      { sub: ' \n' },
      { sub: {} },
      { sub: [{}] },
      { sub: { toString: 'x' } },
      { sub: 'x'.repeat(5000) },
      { sub: 'good', name: { a: 1 } },
    ]
    for (const claims of odd)
      expect(await codeOf(mapping.identityOf(claims)), JSON.stringify(claims).slice(0, 50)).to.equal(
        'mapping_error',
      )
    const inherited = mappingOf({ subject_template: '{{ user.constructor }}{{ user.toString }}' })
    expect(await codeOf(inherited.subjectOf({ sub: 'x' }))).to.equal('mapping_error')
    const own = mappingOf({ subject_template: '{{ user.__proto__ }}' })
    expect(await own.subjectOf(JSON.parse('{"__proto__":"claim"}') as JsonObject)).to.equal('claim')
  })

  it('knows the methods of Python that templates for Synapse use', async () => {
    const cases: [string, string][] = [
      ["{{ user.name.replace('.', '_') }}", 'A_b_C'],
      ["{{ user.name.replace('.', '_', 1) }}", 'A_b.C'],
      ['{{ user.name.lower() }}', 'a.b.c'],
      ["{{ user.email.split('@')[0].upper() }}", 'ALICE'],
      ["{{ user.email.split('.', 1)[1] }}", 'test.example'],
      ['{{ user.full.strip().split()[0].title() }}', 'Alice'],
      ["{{ user.full.split(none, 1) | join('|') }}", 'alice|von B'],
      ["{{ user.name.lstrip('A.') }}", 'b.C'],
      ["{{ user.name.removesuffix('.C') }}{{ user.name.removeprefix('x') }}", 'A.bA.b.C'],
      ["{% if user.email.endswith(['.example', '.org']) %}yes{% endif %}", 'yes'],
      ["{{ user.get('name') }}{{ user.get('none', 'x') }}", 'A.b.Cx'],
      ['{{ user.map.items }}{% for k, v in user.inner.items() %}{{ k }}{{ v }}{% endfor %}', 'claima1'],
      ['{{ user.groups | first }}', 'a'],
      ['{% if user.ok == True and user.missing == None %}{{ user.name }}{% endif %}', 'A.b.C'],
    ]
    const claims = {
      sub: 'x',
      name: 'A.b.C',
      email: 'alice@club.test.example',
      full: ' alice von  B ',
      map: { items: 'claim' },
      inner: { a: 1 },
      groups: ['a', 'b'],
      ok: true,
    }
    for (const [subject_template, expected] of cases)
      expect(await mappingOf({ subject_template }).subjectOf(claims), subject_template).to.equal(expected)
    for (const wrong of [
      "{{ user.name.replace('', 'x') }}",
      '{{ user.name.split(7) }}',
      '{{ user.name.format() }}',
    ])
      expect(await codeOf(mappingOf({ subject_template: wrong }).subjectOf(claims)), wrong).to.equal(
        'mapping_error',
      )
  })

  it('takes claims for text, never for a template', async () => {
    const mapping = mappingOf({ localpart_template: '{{ user.name }}' })
    const { localpart } = await mapping.identityOf({ sub: 'x', name: '{{ 7 * 7 }}' })
    expect(localpart).to.equal('=7b=7b=207=20=2a=207=20=7d=7d')
  })

  it('reads no files', async () => {
    const mapping = mappingOf({ subject_template: '{% include "/etc/passwd" %}' })
    expect(await codeOf(mapping.subjectOf({ sub: 'x' }))).to.equal('mapping_error')
  })

  it('keeps nobody out for want of what is for show', async () => {
    const mapping = mappingOf({
      display_name_template: '{{ user.name.missing() }}',
      email_template: '{{ user.mails }}',
      picture_template: '{% for i in range(5000) %}x{% endfor %}',
      extra_attributes: { a: '{{ user.a.b() }}' },
    })
    expect(await mapping.identityOf({ sub: 'x', mails: {} })).to.deep.equal({
      externalId: 'x',
      confirmsLocalpart: false,
      extraAttributes: {},
    })
  })

  it('lets in who has what is wanted, of all that is wanted', async () => {
    const attribute_requirements = [
      { attribute: 'groups', one_of: ['a', 'b'] },
      { attribute: 'verified' },
      { attribute: 'country', value: 'XY' },
    ]
    const mapping = mappingOf({}, { attribute_requirements })
    const good = { sub: 'x', groups: ['c', 'b'], verified: false, country: 'XY' }
    expect(await mapping.identityOf(good)).to.include({ externalId: 'x' })
    for (const wrong of [
      { groups: ['c'] },
      { groups: 'ab' },
      { groups: [['a']] },
      { groups: null },
      { country: 'xy' },
      { country: undefined },
      { verified: undefined },
    ]) {
      const claims = JSON.parse(JSON.stringify({ ...good, ...wrong })) as JsonObject
      expect(await codeOf(mapping.identityOf(claims)), JSON.stringify(wrong)).to.equal('unauthorised')
    }
    const inherited = mappingOf({}, { attribute_requirements: [{ attribute: 'constructor' }] })
    expect(await codeOf(inherited.identityOf({ sub: 'x' }))).to.equal('unauthorised')
  })
})
