/* The part of the C++ library that clang itself knows of. */
#ifndef CXXABI_H
#define CXXABI_H

#include "emscripten.h"

namespace std {

class type_info {
public:
    virtual ~type_info();
    type_info(const type_info &) = delete;
    type_info &operator=(const type_info &) = delete;
    /* A type has one of these in the whole module. */
    bool operator==(const type_info &other) const { return this == &other; }

protected:
    const char *name; /* laid out by the compiler */
};

[[noreturn]] void terminate() noexcept;

} // namespace std

/* Given by the host. */
extern "C" {
int __cxa_uncaught_exceptions() noexcept;
void *__cxa_current_primary_exception() noexcept;
const std::type_info *__cxa_current_exception_type() noexcept;
void __cxa_rethrow_primary_exception(void *thrown);
}

/* cxxabi.cc */
extern "C" {
void __cxa_increment_exception_refcount(void *thrown) noexcept;
void __cxa_decrement_exception_refcount(void *thrown) noexcept;
}

#endif
