#include "messages.hpp"

#include <structmember.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "events.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"

namespace millrace::python {

namespace {

using wire::FieldKind;
using wire::FieldLayout;
using wire::MessageLayout;

// The object: a Python header, the symbol, and the record's bytes as they came.
struct Message {
    PyObject_HEAD PyObject* symbol;
    alignas(8) std::uint8_t bytes[8];  // as many as the record has
};
constexpr std::size_t kRecordAt = offsetof(Message, bytes);

// What Python keeps pointers to for as long as the type lives, which is for good.
struct MessageType {
    const MessageLayout* layout = nullptr;
    std::string name;  // "millrace.Trade"
    std::vector<std::string> texts;
    std::vector<PyMemberDef> members;
    std::vector<PyGetSetDef> properties;
    PyTypeObject* type = nullptr;
};

struct TypeName {
    std::uint8_t record_type;
    const char* name;
    const char* doc;
};

// Records that Python users meet, by the names they have there.
constexpr std::array<TypeName, 14> kNames{{
    {0xA0, "Mbo", "One change of one order: added, modified, cancelled, filled, traded, cleared."},
    {0x00, "Trade", "One trade."},
    {0x01, "Bbo", "The best price of each side, after a change (schema mbp-1)."},
    {0x0A, "Depth", "Ten price levels of each side, after a change (schema mbp-10)."},
    {0x12, "Status", "An instrument's trading status changed."},
    {0x13, "Definition", "What an instrument is."},
    {0x14, "Imbalance", "An auction's imbalance."},
    {0x18, "Statistics", "An official price, a volume, a limit."},
    {0x20, "Bar1s", "Open, high, low, close and volume of a second."},
    {0x21, "Bar", "Open, high, low, close and volume of a minute."},
    {0xC3, "Bbo1s", "The best price of each side at the end of a second."},
    {kGapType, "Gap", "Messages that were lost for good: numbers first to last."},
    {kQualityType, "Quality", "How far a book can be trusted changed."},
    {kReconnectType, "Reconnect", "A TCP line that had been lost is there again."},
}};

std::array<MessageType, 256>& types() {
    static auto* kTypes = new std::array<MessageType, 256>;  // outlives the interpreter
    return *kTypes;
}

const MessageType& type_of(PyObject* self) {
    return types()[reinterpret_cast<Message*>(self)->bytes[1]];
}

int member_code(const FieldLayout& field) {
    switch (field.size) {
        case 1: return field.is_signed ? T_BYTE : T_UBYTE;
        case 2: return field.is_signed ? T_SHORT : T_USHORT;
        case 4: return field.is_signed ? T_INT : T_UINT;
        default: return field.is_signed ? T_LONGLONG : T_ULONGLONG;
    }
}

const FieldLayout& field_of(void* closure) { return *static_cast<const FieldLayout*>(closure); }

// Text of the wire: whatever bytes it holds, up to the first NUL.
PyObject* get_text(PyObject* self, void* closure) {
    const FieldLayout& field = field_of(closure);
    const auto* text =
        reinterpret_cast<const char*>(reinterpret_cast<Message*>(self)->bytes) + field.offset;
    const std::size_t size = field.size == 1 ? 1 : strnlen(text, field.size);
    return PyUnicode_DecodeLatin1(text, static_cast<Py_ssize_t>(size), nullptr);
}

// A price as a float, None where there is none.
PyObject* get_pretty(PyObject* self, void* closure) {
    std::int64_t price = 0;
    std::memcpy(&price, reinterpret_cast<Message*>(self)->bytes + field_of(closure).offset,
                sizeof(price));
    if (price == dbn::kUndefPrice) Py_RETURN_NONE;
    return PyFloat_FromDouble(static_cast<double>(price) / 1e9);
}

PyObject* get_raw(PyObject* self, void*) {
    const auto* message = reinterpret_cast<Message*>(self);
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(message->bytes),
                                     type_of(self).layout->size);
}

void dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_XDECREF(reinterpret_cast<Message*>(self)->symbol);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
    const MessageType& type = type_of(self);
    std::string out = type.name.substr(type.name.rfind('.') + 1) + "(symbol=";
    const auto add = [&out, self](const char* name) {
        PyObject* value = PyObject_GetAttrString(self, name);
        PyObject* text = value == nullptr ? nullptr : PyObject_Repr(value);
        const char* utf8 = text == nullptr ? nullptr : PyUnicode_AsUTF8(text);
        if (utf8 != nullptr) out += utf8;
        Py_XDECREF(text);
        Py_XDECREF(value);
        return utf8 != nullptr;
    };
    if (!add("symbol")) return nullptr;
    for (const FieldLayout& field : type.layout->fields) {
        if (field.name == "length" || field.name.front() == '_') continue;
        const std::string name(field.name);
        out += ", " + name + "=";
        if (!add(name.c_str())) return nullptr;
    }
    out += ")";
    return PyUnicode_DecodeUTF8(out.data(), static_cast<Py_ssize_t>(out.size()), nullptr);
}

PyObject* compare(PyObject* a, PyObject* b, int operation) {
    if (Py_TYPE(a) != Py_TYPE(b) || (operation != Py_EQ && operation != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    const bool equal =
        std::memcmp(reinterpret_cast<Message*>(a)->bytes, reinterpret_cast<Message*>(b)->bytes,
                    type_of(a).layout->size) == 0;
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

Py_hash_t hash(PyObject* self) {
    PyObject* raw = get_raw(self, nullptr);
    if (raw == nullptr) return -1;
    const Py_hash_t out = PyObject_Hash(raw);
    Py_DECREF(raw);
    return out;
}

// Pickled as its bytes and its symbol.
PyObject* reduce(PyObject* self, PyObject*) {
    PyObject* module = PyImport_ImportModule("millrace._batch");
    if (module == nullptr) return nullptr;
    PyObject* maker = PyObject_GetAttrString(module, "restore_message");
    Py_DECREF(module);
    PyObject* raw = maker == nullptr ? nullptr : get_raw(self, nullptr);
    if (raw == nullptr) {
        Py_XDECREF(maker);
        return nullptr;
    }
    return Py_BuildValue("N(NO)", maker, raw, reinterpret_cast<Message*>(self)->symbol);
}

PyMethodDef kMethods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr},
                          {nullptr, nullptr, 0, nullptr}};

const char* keep(MessageType& type, std::string text) {
    type.texts.push_back(std::move(text));
    return type.texts.back().c_str();
}

void describe_fields(MessageType& type) {
    type.texts.reserve(2 * type.layout->fields.size() + 2);
    type.members.push_back(
        {"symbol", T_OBJECT_EX, offsetof(Message, symbol), READONLY, "The instrument's symbol."});
    for (const FieldLayout& field : type.layout->fields) {
        if (field.name == "length" || field.name.front() == '_') continue;
        const char* name = keep(type, std::string(field.name));
        void* closure = const_cast<FieldLayout*>(&field);
        if (field.kind == FieldKind::text) {
            type.properties.push_back({name, get_text, nullptr, nullptr, closure});
            continue;
        }
        type.members.push_back({name, member_code(field),
                                static_cast<Py_ssize_t>(kRecordAt + field.offset), READONLY,
                                nullptr});
        if (field.kind == FieldKind::price) {
            const char* pretty = keep(type, "pretty_" + std::string(field.name));
            type.properties.push_back({pretty, get_pretty, nullptr,
                                       "The price as a float, None where there is none.",
                                       closure});
        }
    }
    type.members.push_back({nullptr, 0, 0, 0, nullptr});
    type.properties.push_back(
        {"raw", get_raw, nullptr, "The record's bytes, as DBN has them.", nullptr});
    type.properties.push_back({nullptr, nullptr, nullptr, nullptr, nullptr});
}

bool add_type(PyObject* module, const TypeName& known) {
    MessageType& type = types()[known.record_type];
    type.layout = record_layout(known.record_type);
    if (type.layout == nullptr) return true;
    if (type.members.empty()) {
        type.name = std::string("millrace.") + known.name;
        describe_fields(type);
    }
    PyType_Slot slots[] = {
        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
        {Py_tp_repr, reinterpret_cast<void*>(repr)},
        {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
        {Py_tp_hash, reinterpret_cast<void*>(hash)},
        {Py_tp_methods, kMethods},
        {Py_tp_members, type.members.data()},
        {Py_tp_getset, type.properties.data()},
        {Py_tp_doc, const_cast<char*>(known.doc)},
        {0, nullptr},
    };
    PyType_Spec spec{
        type.name.c_str(), static_cast<int>(kRecordAt + type.layout->size), 0,
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
    PyObject* made = PyType_FromSpec(&spec);
    if (made == nullptr) return false;
    type.type = reinterpret_cast<PyTypeObject*>(made);
    PyObject* rtype = PyLong_FromLong(known.record_type);
    const bool ok = rtype != nullptr &&
                    PyDict_SetItemString(type.type->tp_dict, "RTYPE", rtype) == 0 &&
                    PyModule_AddObjectRef(module, known.name, made) == 0;
    Py_XDECREF(rtype);
    return ok;
}

}  // namespace

const MessageLayout* record_layout(std::uint8_t record_type) {
    static const MessageLayout kGap = wire::layout_of<GapEvent>();
    static const MessageLayout kQuality = wire::layout_of<QualityEvent>();
    static const MessageLayout kReconnect = wire::layout_of<ReconnectEvent>();
    if (record_type == kGapType) return &kGap;
    if (record_type == kQualityType) return &kQuality;
    if (record_type == kReconnectType) return &kReconnect;
    return dbn::layout_of(record_type);
}

bool add_message_types(PyObject* module) {
    for (const TypeName& known : kNames) {
        if (!add_type(module, known)) return false;
    }
    return true;
}

PyObject* make_message(std::span<const std::uint8_t> record, PyObject* symbol) {
    const MessageType& type = types()[record[1]];
    if (type.type == nullptr || record.size() < type.layout->size) {
        return PyErr_Format(
            PyExc_ValueError,
            "a record of type 0x%02x with %zu bytes is none that this version knows",
            static_cast<unsigned>(record[1]), record.size());
    }
    auto* message = reinterpret_cast<Message*>(PyObject_Malloc(kRecordAt + type.layout->size));
    if (message == nullptr) return PyErr_NoMemory();
    PyObject_Init(reinterpret_cast<PyObject*>(message), type.type);
    message->symbol = Py_NewRef(symbol);
    std::memcpy(message->bytes, record.data(), type.layout->size);
    return reinterpret_cast<PyObject*>(message);
}

}  // namespace millrace::python
