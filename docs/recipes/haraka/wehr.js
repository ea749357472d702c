'use strict'
// Asks Wehr about each message, and does what it says: plugins/wehr.js, named in config/plugins.
// Settings are in config/wehr.ini: url of Wehr's HTTP door, token if it wants one, timeout in seconds.

const http = require('node:http')

exports.register = function () {
  this.cfg = this.config.get('wehr.ini', () => { this.register() }).main
}

exports.hook_data_post = function (next, connection) {
  if (!this.cfg.url) return next()
  this.ask(connection)
    .then((answer) => {
      connection.transaction?.results.add(this, { msg: answer.reason })
      const refusal = { throttle: DENYSOFT, block: DENY }[answer.action]
      if (refusal) next(refusal, `${answer.enhanced_code} ${answer.text}`)
      else next()
    })
    .catch((error) => {
      connection.logerror(this, `not asked: ${error.message}`)
      next()
    })
}

exports.ask = function (connection) {
  const body = JSON.stringify(question(connection))
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
  if (this.cfg.token) headers.Authorization = `Bearer ${this.cfg.token}`
  return new Promise((resolve, reject) => {
    const request = http.request(this.cfg.url, { method: 'POST', headers }, async (response) => {
      try {
        const parts = []
        for await (const part of response) parts.push(part)
        const text = Buffer.concat(parts).toString()
        if (response.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`${response.statusCode} ${text}`))
      } catch (error) {
        reject(error)
      }
    })
    const timer = setTimeout(() => request.destroy(new Error('timeout')), 1000 * (parseFloat(this.cfg.timeout) || 3))
    request.on('error', reject).on('close', () => clearTimeout(timer)).end(body)
  })
}

function question (connection) {
  const { transaction, tls } = connection
  return {
    client_ip: connection.remote.ip,
    // only names that lead back to the address count: those that the plugin fcrdns has found
    client_name: connection.results.get('fcrdns')?.fcrdns?.[0] ?? '',
    helo: connection.hello.host ?? '',
    authenticated: Boolean(connection.notes.auth_user),
    tls_name: (tls?.verified && tls.peerCertificate?.subject?.CN) || '',
    listener: String(connection.local.port ?? ''),
    recipients: transaction.rcpt_to.map((recipient) => recipient.host ?? ''),
    queue_id: transaction.uuid,
    own_received: 1, // Haraka's own is on top by now
    headers: transaction.header.get_all('received').map((value) => ['Received', value]),
  }
}
