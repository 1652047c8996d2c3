// Stripe's SDK, which retries by itself.
const stripe = require('stripe')('sk_test_1', {host: 'stripe-node.test', maxNetworkRetries: 2, telemetry: false})
stripe.refunds.create({charge: 'ch_1', amount: 5})
  .catch(error => { console.error(error.message); process.exit(1) })
