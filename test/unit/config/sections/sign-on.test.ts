import { expect } from 'chai'
import { testConfig } from '../../../support/homeserver.js'

const SERVER = { server_url: 'https://cas.example.org/cas/' }

describe('the configuration of single sign-on', () => {
  it('is nothing by default', () => {
    expect(testConfig().signOn).to.deep.equal({
      trustedClients: [],
      updatesProfiles: false,
      templateDirectory: undefined,
      cas: undefined,
    })
  })

  it('has Synapse’s keys and defaults', () => {
    expect(testConfig({ cas_config: SERVER }).signOn.cas).to.deep.equal({
      name: 'CAS',
      icon: undefined,
      brand: undefined,
      serverUrl: 'https://cas.example.org/cas',
      protocolVersion: 2,
      displayNameAttribute: undefined,
      requiredAttributes: {},
      registers: true,
      numericPrefix: undefined,
    })
    expect(testConfig({ cas_config: { enabled: false } }).signOn.cas).to.equal(undefined)
    const all = testConfig({
      sso: { client_whitelist: ['https://app.example.org/', 'element://'], update_profile_information: true },
      cas_config: {
        ...SERVER,
        protocol_version: 3,
        displayname_attribute: 'name',
        required_attributes: { group: 'staff', mail: null },
        enable_registration: false,
        allow_numeric_ids: true,
        idp_name: 'Campus',
        idp_icon: 'mxc://example.org/a',
        idp_brand: 'org.example.campus',
      },
    }).signOn
    expect(all.trustedClients).to.deep.equal(['https://app.example.org/', 'element://'])
    expect(all.cas).to.deep.include({
      protocolVersion: 3,
      requiredAttributes: { group: 'staff', mail: undefined },
      registers: false,
      numericPrefix: 'u',
    })
  })

  it('is checked', () => {
    for (const keys of [
      { cas_config: {} },
      { cas_config: { server_url: 'cas.example.org' } },
      { cas_config: { ...SERVER, protocol_version: 4 } },
      { cas_config: { ...SERVER, numeric_ids_prefix: '_' } },
      { cas_config: { ...SERVER, required_attributes: ['group'] } },
      { cas_config: { ...SERVER, required_attributes: { group: ['a'] } } },
      { cas_config: { ...SERVER, idp_icon: 'https://example.org/a.png' } },
      { cas_config: { ...SERVER, idp_brand: 'A Brand' } },
      { sso: { client_whitelist: ['app.example.org'] } },
      { sso: { client_whitelist: ['https://'] } },
      { sso: { client_whitelist: ['https://x@app.example.org/'] } },
    ]) {
      expect(() => testConfig(keys), JSON.stringify(keys)).to.throw()
    }
  })
})
