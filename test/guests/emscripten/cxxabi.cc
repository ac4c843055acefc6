/* The part of a C++ library that exceptions need inside the module: types,
 * and which handler takes what; memory for what is thrown, and how often it is
 * referred to. What is thrown and caught is kept by the host, which fills in
 * the header below and calls the exports.
 *
 * With -DNEW the library tells itself what a handler is given, as of Emscripten
 * 3.1.65.
 */
#include "cxxabi.h"

extern "C" [[noreturn]] void _abort_js() noexcept;

/* --- Memory --------------------------------------------------------------- */

void *operator new(size bytes) {
    void *at = malloc(bytes);
    if (!at) std::terminate();
    return at;
}
void *operator new[](size bytes) { return operator new(bytes); }
void operator delete(void *at) noexcept { free(at); }
void operator delete[](void *at) noexcept { free(at); }
void operator delete(void *at, size) noexcept { free(at); }
void operator delete[](void *at, size) noexcept { free(at); }

namespace std {
void terminate() noexcept { _abort_js(); }
type_info::~type_info() = default;
} // namespace std

extern "C" [[noreturn]] void __cxa_pure_virtual() { _abort_js(); }

/* --- Types ---------------------------------------------------------------
 * The compiler makes an object of one of these classes for each type that is
 * thrown or caught; the names and the data members are those of the Itanium
 * C++ ABI. */

namespace __cxxabiv1 {

class __class_type_info;
class __pointer_type_info;

/* What the classes have in common. */
class matching_type : public std::type_info {
public:
    ~matching_type() override;
    /* Whether a handler for this type takes an object of a type; `object` is
     * its address, and becomes what the handler is given. */
    virtual bool catches(const matching_type *thrown, void *&object) const;
    virtual const __class_type_info *as_class() const { return nullptr; }
    virtual const __pointer_type_info *as_pointer() const { return nullptr; }
};

class __fundamental_type_info : public matching_type {
public:
    ~__fundamental_type_info() override;
};

class __enum_type_info : public matching_type {
public:
    ~__enum_type_info() override;
};

class __array_type_info : public matching_type {
public:
    ~__array_type_info() override;
};

class __function_type_info : public matching_type {
public:
    ~__function_type_info() override;
};

/* The search for the part of an object that is of a base class. */
struct search {
    const __class_type_info *wanted;
    void *found;
    bool is_ambiguous;
};

/* A class without bases. */
class __class_type_info : public matching_type {
public:
    ~__class_type_info() override;
    bool catches(const matching_type *thrown, void *&object) const override;
    const __class_type_info *as_class() const override { return this; }
    /* Looks for the wanted class here and in the public bases. Where there is
     * no object (null) the answer is by type alone. */
    virtual void look(search &looking, void *object) const;
    bool is_base_of(const __class_type_info *other, void *&object) const;
};

/* A class with one public base that is not virtual, at its beginning. */
class __si_class_type_info : public __class_type_info {
public:
    ~__si_class_type_info() override;
    void look(search &looking, void *object) const override;
    const __class_type_info *base;
};

struct base_info {
    const __class_type_info *type;
    long offset_and_flags;
};

/* Any other class. */
class __vmi_class_type_info : public __class_type_info {
public:
    ~__vmi_class_type_info() override;
    void look(search &looking, void *object) const override;
    unsigned flags;
    unsigned bases_count;
    base_info bases[1];
};

class __pbase_type_info : public matching_type {
public:
    ~__pbase_type_info() override;
    unsigned flags; /* of the type pointed to: 1 const, 2 volatile, 4 restrict */
    const matching_type *pointee;
};

class __pointer_type_info : public __pbase_type_info {
public:
    ~__pointer_type_info() override;
    bool catches(const matching_type *thrown, void *&object) const override;
    const __pointer_type_info *as_pointer() const override { return this; }
};

/* Where these are, the compiler puts the tables of virtual functions; and with
 * that of __fundamental_type_info the types int, char, void and so on. */
matching_type::~matching_type() = default;
__fundamental_type_info::~__fundamental_type_info() = default;
__enum_type_info::~__enum_type_info() = default;
__array_type_info::~__array_type_info() = default;
__function_type_info::~__function_type_info() = default;
__class_type_info::~__class_type_info() = default;
__si_class_type_info::~__si_class_type_info() = default;
__vmi_class_type_info::~__vmi_class_type_info() = default;
__pbase_type_info::~__pbase_type_info() = default;
__pointer_type_info::~__pointer_type_info() = default;

bool matching_type::catches(const matching_type *thrown, void *&) const { return thrown == this; }

void __class_type_info::look(search &looking, void *object) const {
    if (this != looking.wanted) return;
    if (looking.found && looking.found != object) looking.is_ambiguous = true;
    looking.found = object;
}

void __si_class_type_info::look(search &looking, void *object) const {
    __class_type_info::look(looking, object);
    if (this != looking.wanted) base->look(looking, object);
}

void __vmi_class_type_info::look(search &looking, void *object) const {
    constexpr long is_virtual = 1, is_public = 2;
    constexpr int offset_shift = 8;

    __class_type_info::look(looking, object);
    if (this == looking.wanted) return;
    for (unsigned i = 0; i < bases_count; i++) {
        long info = bases[i].offset_and_flags;
        if (!(info & is_public)) continue;
        long offset = info >> offset_shift;
        if (info & is_virtual) {
            /* The object's own table says where the base is. */
            const char *table = *static_cast<const char *const *>(object);
            offset = *reinterpret_cast<const long *>(table + offset);
        }
        bases[i].type->look(looking, static_cast<char *>(object) + offset);
    }
}

bool __class_type_info::is_base_of(const __class_type_info *other, void *&object) const {
    search looking = {this, nullptr, false};
    other->look(looking, object);
    if (!looking.found || looking.is_ambiguous) return false;
    object = looking.found;
    return true;
}

bool __class_type_info::catches(const matching_type *thrown, void *&object) const {
    const __class_type_info *other = thrown->as_class();
    return other && is_base_of(other, object);
}

/* A handler for a pointer is given the pointer and not where it lies. It may
 * add const and volatile, be for void, or for a base of what is pointed to. */
bool __pointer_type_info::catches(const matching_type *thrown, void *&object) const {
    const __pointer_type_info *other = thrown->as_pointer();
    if (!other || (other->flags & ~flags & 3)) return false;
    void *pointer = *static_cast<void **>(object);
    if (pointee != other->pointee && !(*pointee == typeid(void))) {
        const __class_type_info *mine = pointee->as_class(), *theirs = other->pointee->as_class();
        if (!pointer || !mine || !theirs || !mine->is_base_of(theirs, pointer)) return false;
    }
    object = pointer;
    return true;
}

} // namespace __cxxabiv1

using __cxxabiv1::matching_type;

/* Whether a handler for one type takes another; the host has put the address
 * of what was thrown into *adjusted. */
EXPORT(__cxa_can_catch)
int __cxa_can_catch(const matching_type *handler, const matching_type *thrown, void **adjusted) {
    return handler->catches(thrown, *adjusted);
}

static int is_pointer_type(const matching_type *type) { return type && type->as_pointer() != nullptr; }

#ifndef NEW
EXPORT(__cxa_is_pointer_type) int __cxa_is_pointer_type(const matching_type *type) { return is_pointer_type(type); }
#endif

/* --- What is thrown ------------------------------------------------------- */

namespace {

/* Lies right before what is thrown. The host writes all but the count. */
struct header {
    size references;
    const std::type_info *type;
    /* Destructors give back their object's address on this machine. */
    void *(*destructor)(void *);
    u8 is_caught;
    u8 is_rethrown;
    void *adjusted;
    void *padding; /* keeps what is thrown aligned */
};

static_assert(sizeof(header) == 6 * sizeof(void *), "the host knows this layout");
static_assert(__builtin_offsetof(header, is_caught) == 3 * sizeof(void *), "the host knows this layout");
static_assert(__builtin_offsetof(header, adjusted) == 4 * sizeof(void *), "the host knows this layout");

header *header_of(void *thrown) { return static_cast<header *>(thrown) - 1; }

} // namespace

#ifdef NEW
EXPORT(__cxa_get_exception_ptr) void *__cxa_get_exception_ptr(void *thrown) noexcept {
    header *h = header_of(thrown);
    if (is_pointer_type(static_cast<const matching_type *>(h->type))) return *static_cast<void **>(thrown);
    return h->adjusted ? h->adjusted : thrown;
}
#endif

extern "C" void *__cxa_allocate_exception(size bytes) noexcept {
    u8 *at = static_cast<u8 *>(malloc(sizeof(header) + bytes));
    if (!at) std::terminate();
    __builtin_memset(at, 0, sizeof(header) + bytes);
    return at + sizeof(header);
}

EXPORT(__cxa_free_exception) void __cxa_free_exception(void *thrown) noexcept { free(header_of(thrown)); }

EXPORT(__cxa_increment_exception_refcount) void __cxa_increment_exception_refcount(void *thrown) noexcept {
    if (thrown) header_of(thrown)->references++;
}

/* One that is thrown again from its handler lives on, though the handler that
 * ends was the last to refer to it. */
EXPORT(__cxa_decrement_exception_refcount) void __cxa_decrement_exception_refcount(void *thrown) noexcept {
    if (!thrown) return;
    header *h = header_of(thrown);
    if (!h->references) __builtin_trap();
    if (--h->references || h->is_rethrown) return;
    if (h->destructor) h->destructor(thrown);
    __cxa_free_exception(thrown);
}
