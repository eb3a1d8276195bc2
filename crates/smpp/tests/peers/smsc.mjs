// An SMSC out of npm's `smpp`, which knows nothing of the client that it serves. It tells on stdout, a line of JSON for
// each event, how it understood what came; what it does is decided by the text of a message.
import smpp from 'smpp';

const tell = (event) => console.log(JSON.stringify(event));

// A failure of one session, such as a client that is killed, must not end the server.
const ignore = () => {};

// The text of a segment, and where it belongs: `udh` is a list of elements, of which 0 is concatenation.
const segment = ({ message, udh }) => {
  const concatenation = udh?.find((element) => element[0] === 0);
  return { text: message, concatenation: concatenation ? [...concatenation.subarray(2)] : null };
};

const receipt = (session, id, text, extra = {}) =>
  session.deliver_sm({ esm_class: 4, source_addr: '393331234567', short_message: text, ...extra }, (answer) =>
    tell({ event: 'receipt answered', id, status: answer.command_status }));

let count = 0;
const server = smpp.createServer((session) => {
  session.on('error', ignore);
  session.on('bind_transceiver', (pdu) => {
    if (pdu.password !== 'secret') {
      session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
      session.close();
      return;
    }
    tell({ event: 'bound', system_id: pdu.system_id, system_type: pdu.system_type, version: pdu.interface_version });
    session.send(pdu.response({ system_id: 'peer' }));
  });
  session.on('enquire_link', (pdu) => {
    tell({ event: 'enquire_link' });
    session.send(pdu.response());
  });
  session.on('unbind', (pdu) => {
    tell({ event: 'unbound' });
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
    const { text, concatenation } = segment(pdu.short_message);
    tell({
      event: 'submit',
      text,
      concatenation,
      coding: pdu.data_coding,
      source: [pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr],
      destination: [pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr],
      service_type: pdu.service_type,
      registered_delivery: pdu.registered_delivery,
      // The library makes a date of a relative period.
      valid_for_s: pdu.validity_period ? Math.round((pdu.validity_period - new Date()) / 1000) : null,
    });
    const refuse = (status) => session.send(pdu.response({ command_status: smpp[status] }));
    if (text === 'hang up') return session.destroy();
    if (text.startsWith('ESME_')) return refuse(text);
    count += 1;
    const id = count.toString(16).padStart(8, '0');
    session.send(pdu.response({ message_id: id }));
    if (text === 'receipt by text') {
      const inDecimal = count.toString().padStart(10, '0');
      receipt(session, id, `id:${inDecimal} sub:001 dlvrd:001 submit date:2611231402 done date:2611231403 stat:DELIVRD err:000 text:receipt by`);
    }
    if (text === 'receipt by parameters') {
      receipt(session, id, '', { receipted_message_id: id, message_state: 5 });
    }
    if (text === 'ask me') session.enquire_link({}, (answer) => tell({ event: 'asked', status: answer.command_status }));
    if (text === 'nonsense') session.query_sm({ message_id: '1' }, (answer) => tell({ event: 'nonsense answered', command: answer.command, status: answer.command_status }));
  });
});
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(0, '127.0.0.1', () => tell({ event: 'listening', port: server.address().port }));

// Ends with whoever started it.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
