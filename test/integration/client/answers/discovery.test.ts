import { expectAnswers } from '../../../support/expected-answers.js'
import { startHomeserver } from '../../../support/homeserver.js'

describe('answers to those who look for the server', () => {
  it('say only what the operator has said', async () => {
    await using silent = await startHomeserver()
    await using told = await startHomeserver({
      config: {
        public_baseurl: 'https://hs.test/',
        admin_contact: 'mailto:admin@hs.test',
        serve_server_wellknown: true,
      },
    })
    await expectAnswers([
      [silent.client(), 'GET /.well-known/matrix/client', [404, 'M_NOT_FOUND']],
      [silent.client(), 'GET /.well-known/matrix/support', [404, 'M_NOT_FOUND']],
      [told.client(), 'GET /.well-known/matrix/client', 200],
      [told.client(), 'GET /.well-known/matrix/support', 200],
    ])
  })
})
